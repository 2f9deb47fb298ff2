/** What proves that a leader is out of recovery, and what puts that in doubt. */
import { isRunningPrimary } from '../cluster/members.ts'
import type { Member } from '../cluster/types.ts'
import type { Sighting } from './input.ts'
import type { Doubt, Lead, Pace } from './write-state.ts'

/** Shortest time between two openings of the write route in one term. */
export const REOPEN_GAP_MIN_MS = 50
export const REOPEN_GAP_MAX_MS = 1000
/** An opening this long after the one before owes nothing to it. */
export const REOPEN_CALM_MS = 5000

/** `reopens` start at the shortest gap; the first opening of a term waits for nothing. */
export const FRESH_PACE: Pace = { openedAtMs: null, gapMs: REOPEN_GAP_MIN_MS }

/** The earliest instant at which a proof may open the route. */
export function mayOpenAtMs(pace: Pace): number {
  return pace.openedAtMs === null ? Number.NEGATIVE_INFINITY : pace.openedAtMs + pace.gapMs
}

/** The pace after opening at `nowMs`: doubled while openings follow each other closely. */
export function afterOpening(pace: Pace, nowMs: number): Pace {
  const calm = pace.openedAtMs === null || nowMs - pace.openedAtMs > REOPEN_CALM_MS
  const gapMs = calm ? REOPEN_GAP_MIN_MS : Math.min(pace.gapMs * 2, REOPEN_GAP_MAX_MS)
  return { openedAtMs: nowMs, gapMs }
}

/**
 * How long a member that was met dead or in recovery is asked before its key is believed against that:
 * an agent that has not noticed yet that its PostgreSQL died goes on publishing that it runs.
 */
export const KEY_TRUST_MS = 2500

/**
 * The member key says so, in a value put after the doubt arose. It counts at once where it turned
 * into "running primary" since then: the agent has noticed. The same said again is believed later.
 */
export function isProvenByKey(
  doubt: Doubt,
  member: Member | null,
  turned: number | null,
  nowMs: number,
): boolean {
  if (member === null || !isRunningPrimary(member) || member.changed <= doubt.changed) return false
  return (turned !== null && turned > doubt.changed) || nowMs >= keyCountsFromMs(doubt)
}

/** When a member key said again begins to count against this doubt; every bad answer begins a new doubt. */
export function keyCountsFromMs(doubt: Doubt): number {
  const isPublished = doubt.kind === 'new-term' || doubt.kind === 'member-key'
  return isPublished ? doubt.atMs : doubt.atMs + KEY_TRUST_MS
}

/**
 * How long a leader that answers no question is left alone after a failure before the next client is
 * sent there as the test: its API may be out of our reach, and an agent with nothing to tell does not
 * put its key again.
 */
export const UNANSWERED_MS = 2500

/** When the silence of the leader no longer holds the route against its key; null: never. */
export function mayTryAtMs(doubt: Doubt, pace: Pace): number | null {
  if (doubt.kind !== 'trouble' || doubt.silentSinceMs === null) return null
  return Math.max(doubt.silentSinceMs + UNANSWERED_MS, mayOpenAtMs(pace))
}

/**
 * The member itself said so, asked after the doubt arose. An answer asked in the instant the term was
 * seen counts; one asked in the instant of a failure does not.
 */
export function isProvenBySighting(doubt: Doubt, sighting: Sighting): boolean {
  if (!isGood(sighting)) return false
  return sighting.atMs > doubt.atMs || (doubt.kind === 'new-term' && sighting.atMs === doubt.atMs)
}

/** Out of recovery, and not denying that it holds the lock. */
export function isGood({ answer }: Sighting): boolean {
  return answer.kind === 'primary' && answer.holdsLock !== false
}

/**
 * The member key was put again and denies the proof. `promoted` (promotion sent, its end not yet
 * noticed by the agent) denies nothing: the member itself may have been seen past it.
 */
export function isDeniedByKey(keyChanged: number, member: Member | null): boolean {
  if (member === null || member.changed <= keyChanged || isRunningPrimary(member)) return false
  return !(member.role === 'promoted' && member.state === 'running')
}

/** Whether something seen at `atMs` says more than what is known to be good. */
export function isNews(lead: Lead, atMs: number): boolean {
  return atMs >= lead.seenAtMs && (lead.goodAtMs === null || atMs >= lead.goodAtMs)
}
