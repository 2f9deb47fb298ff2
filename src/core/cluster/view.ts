/**
 * Patroni's keys -> `ClusterView`. Pure and total: whatever somebody wrote into etcd, the answer is a
 * view; what could not be read stands in `faults` and leaves the rest intact. Keys that routing does
 * not need (`history`, `failsafe`, `pgsteer/…`, unknown ones) are passed over.
 */
import { readConfig } from './read-config.ts'
import { readFailover, readLeaderPosition, readSync, readSystemId } from './read-keys.ts'
import { isUsableName, readMember } from './read-member.ts'
import type { ClusterView, LeaderKey, Member, Snapshot, Term } from './types.ts'
import { FaultList, type Place, quote } from './values.ts'

/** Members read of one cluster; real ones have less than twenty. */
export const MEMBERS_MAX = 1000

const MEMBER_PREFIX = 'members/'

/**
 * The view of one snapshot. Give the view before it as `previous`: a leader key that was put again by
 * the same holder (its lease changed) then keeps its term. Two changes of holder that fall between
 * two snapshots and end at the first holder are not seen; etcd's watch reports each change, so feed
 * every event.
 */
export function buildView(snapshot: Snapshot, previous?: ClusterView): ClusterView {
  const { entries, store, revision } = snapshot
  const faults = new FaultList()
  const at = (key: string): Place => ({ key, faults })
  const leader = readLeader(snapshot, previous, at('leader'))
  return {
    store,
    revision,
    systemId: readSystemId(entries.get('initialize'), at('initialize')),
    leader,
    members: readMembers(snapshot, leader, faults),
    leaderPosition: readLeaderPosition(entries, at),
    sync: readSync(entries.get('sync'), at('sync')),
    failover: readFailover(entries.get('failover'), at('failover')),
    config: readConfig(entries.get('config'), at('config')),
    faults: faults.list(),
  }
}

function readLeader(
  { entries, store }: Snapshot,
  previous: ClusterView | undefined,
  place: Place,
): LeaderKey | null {
  const entry = entries.get('leader')
  if (entry === undefined) return null
  if (!isUsableName(entry.value)) {
    place.faults.add(place.key, `not usable as a member name: ${quote(entry.value)}`)
    return null
  }
  const term = { store, created: entry.createRevision, changed: entry.modRevision }
  const before = previous?.leader ?? null
  const same = before?.member === entry.value && isSameKey(before.term, term)
  return { member: entry.value, term: same ? before.term : term }
}

function isSameKey(before: Term, now: Term): boolean {
  return before.store === now.store && before.created === now.created
}

function readMembers(
  { entries }: Snapshot,
  leader: LeaderKey | null,
  faults: FaultList,
): readonly Member[] {
  const members: Member[] = []
  for (const name of memberNames(entries.keys(), leader, faults)) {
    const key = `${MEMBER_PREFIX}${name}`
    const entry = entries.get(key)
    const member = entry ? readMember(name, entry, { key, faults }) : null
    if (member !== null) members.push(member)
  }
  return members
}

/** Sorted. `members/` has exactly one more path element, as for Patroni. */
function memberNames(
  keys: Iterable<string>,
  leader: LeaderKey | null,
  faults: FaultList,
): readonly string[] {
  const names: string[] = []
  for (const key of keys) {
    const name = key.startsWith(MEMBER_PREFIX) ? key.slice(MEMBER_PREFIX.length) : null
    if (name !== null && !name.includes('/')) names.push(name)
  }
  names.sort(byCodeUnit)
  if (names.length <= MEMBERS_MAX) return names
  faults.add(MEMBER_PREFIX, `${names.length} members, only ${MEMBERS_MAX} are read`)
  // The leader is never the one left out.
  const others = names.filter((name) => name !== leader?.member)
  const room = others.length < names.length ? MEMBERS_MAX - 1 : MEMBERS_MAX
  const led = room < MEMBERS_MAX && leader !== null ? [leader.member] : []
  return [...led, ...others.slice(0, room)].sort(byCodeUnit)
}

/** Not by locale: every router must list members in the same order. */
function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
