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

/** The member key says so, in a value put after the doubt arose. */
export function isProvenByKey(doubt: Doubt, member: Member | null): boolean {
  return member !== null && isRunningPrimary(member) && member.changed > doubt.changed
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
