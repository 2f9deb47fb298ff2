/** The write route's memory as etcd's views move it: whose term it is, what the member key proves. */
import { isRunningPrimary } from '../cluster/members.ts'
import { compareTerms } from '../cluster/term.ts'
import type { ClusterView, LeaderKey, Member } from '../cluster/types.ts'
import { afterOpening, FRESH_PACE, isDeniedByKey, isProvenByKey } from './proof.ts'
import type { Address } from './types.ts'
import { doubtIt, isInRecovery, type Leading, open, VERIFY_LIMIT_MS } from './write-moves.ts'
import type { Home, Lead, WriteState } from './write-state.ts'

/** Addresses of one term that are remembered; a running server hardly ever changes its own. */
const STAYS_MAX = 8

/** Takes in a view that is not older than the one before it. */
export function followView(write: WriteState, view: ClusterView, nowMs: number): WriteState {
  if (view.leader === null) return vacate(write)
  const member = memberOf(view, view.leader.member)
  const held = followHolder(write, view.leader, member, nowMs)
  return followMemberKey(noteKey(held, member, nowMs), member, nowMs)
}

/** The member key of that name, if it is there and readable. */
export function memberOf(view: ClusterView, name: string): Member | null {
  return view.members.find((member) => member.name === name) ?? null
}

/** Whether `key` is a leadership of its own and not the known one put again by its holder. */
export function isNewTerm(lead: Lead | null, key: LeaderKey): boolean {
  if (lead === null) return true
  if (compareTerms(key.term, lead.term) <= 0) return false
  return key.member !== lead.member || !isSameKey(lead, key)
}

function isSameKey({ term }: Lead, key: LeaderKey): boolean {
  return term.store === key.term.store && term.created === key.term.created
}

function vacate(write: WriteState): WriteState {
  if (write.at === 'vacant') return write
  if (write.at === 'unknown') return { at: 'vacant', last: null, inRecovery: false }
  return { at: 'vacant', last: write.lead, inRecovery: isInRecovery(write) }
}

function followHolder(
  write: WriteState,
  key: LeaderKey,
  member: Member | null,
  nowMs: number,
): Leading {
  if (write.at === 'unknown') return meet(key, member, nowMs)
  if (write.at === 'vacant') return begin(key, key.term.created, nowMs, write.last)
  if (!isNewTerm(write.lead, key)) return write
  // A holder that replaced another without the key ever being gone: its creation proves nothing.
  const since = isSameKey(write.lead, key) ? key.term.changed : key.term.created
  return begin(key, since, nowMs, write.lead)
}

/** A new term: whoever leads has to show first that it is out of recovery. */
function begin(key: LeaderKey, changed: number, nowMs: number, before: Lead | null): Leading {
  const lead = newLead(key, nowMs, before)
  return {
    at: 'proving',
    lead,
    doubt: { kind: 'new-term', atMs: nowMs, changed },
    pace: FRESH_PACE,
  }
}

/**
 * The first leader this process ever sees may lead for long, its member key older than its term: a
 * key that says primary is believed then, and the member asked at once.
 */
function meet(key: LeaderKey, member: Member | null, nowMs: number): Leading {
  const strict = begin(key, key.term.created, nowMs, null)
  if (member === null || !isRunningPrimary(member)) return strict
  if (member.changed > key.term.created) return strict
  const verify = { sinceMs: nowMs, untilMs: nowMs + VERIFY_LIMIT_MS }
  const pace = afterOpening(FRESH_PACE, nowMs)
  const { lead } = strict
  return { at: 'proven', lead, asOfMs: nowMs, keyChanged: member.changed, verify, pace }
}

function newLead(key: LeaderKey, nowMs: number, before: Lead | null): Lead {
  return {
    member: key.member,
    term: key.term,
    seenAtMs: nowMs,
    home: null,
    stays: before?.member === key.member ? before.stays : null,
    key: null,
    goodAtMs: null,
  }
}

function noteKey(write: Leading, member: Member | null, nowMs: number): Leading {
  if (member === null || member.changed === write.lead.key?.changed) return write
  const home: Home = { host: member.host, port: member.port, apiUrl: member.apiUrl }
  const isPrimary = isRunningPrimary(member)
  const before = write.lead.key
  const turned =
    isPrimary && before?.isPrimary === false ? member.changed : (before?.turned ?? null)
  const key = { changed: member.changed, seenAtMs: nowMs, isPrimary, turned }
  return { ...write, lead: { ...write.lead, home, stays: staysOf(write, home), key } }
}

/**
 * A server may publish another address while it runs: sessions at the one before are as good. Before
 * the route was open in this term nobody was sent to its address, so only the newest counts.
 */
function staysOf({ lead, pace }: Leading, { host, port }: Home): readonly Address[] {
  const known = pace.openedAtMs === null || lead.home === null ? [] : (lead.stays ?? [])
  const others = known.filter((one) => one.host !== host || one.port !== port)
  return [...others, { host, port }].slice(-STAYS_MAX)
}

function followMemberKey(write: Leading, member: Member | null, nowMs: number): Leading {
  if (write.at === 'proving') {
    const { key } = write.lead
    if (!isProvenByKey(write.doubt, member, key?.turned ?? null, nowMs)) return write
    // As old as the key, not as the opening: what was seen since then may deny it.
    return open(write, key?.seenAtMs ?? nowMs, nowMs, member)
  }
  if (member === null) return write
  if (isDeniedByKey(write.keyChanged, member)) {
    const { role, state, changed } = member
    return doubtIt(write, { kind: 'member-key', atMs: nowMs, changed, role, state })
  }
  return member.changed > write.keyChanged ? { ...write, keyChanged: member.changed } : write
}
