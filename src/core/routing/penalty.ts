/** A replica that failed a client is passed over for a while, longer each time it fails again. */
import type { Trouble } from './input.ts'

export const PENALTY_MIN_MS = 1000
export const PENALTY_MAX_MS = 10_000
/** Without a failure for this long after a penalty, the next one starts small again. */
export const PENALTY_FORGIVEN_MS = 30_000

export type Penalty = {
  readonly member: string
  readonly untilMs: number
  readonly lengthMs: number
}

/** Failures during a penalty belong to it: only one after its end makes the next. */
export function followPenalties(
  before: readonly Penalty[],
  troubles: readonly Trouble[],
  nowMs: number,
): readonly Penalty[] {
  const alive = before.filter(({ untilMs }) => nowMs < untilMs + PENALTY_FORGIVEN_MS)
  return troubles.reduce((penalties, trouble) => punish(penalties, trouble, nowMs), alive)
}

/** Who is to be passed over now. */
export function isPenalized(penalties: readonly Penalty[], member: string, nowMs: number): boolean {
  return penalties.some((penalty) => penalty.member === member && nowMs < penalty.untilMs)
}

function punish(penalties: readonly Penalty[], trouble: Trouble, nowMs: number): Penalty[] {
  const { member, what } = trouble
  const others = penalties.filter((penalty) => penalty.member !== member)
  const own = penalties.find((penalty) => penalty.member === member)
  const counts = what !== 'session-lost' && what !== 'in-hot-standby'
  if (!counts || (own !== undefined && trouble.atMs < own.untilMs)) return [...penalties]
  const lengthMs = own ? Math.min(own.lengthMs * 2, PENALTY_MAX_MS) : PENALTY_MIN_MS
  return [...others, { member, untilMs: nowMs + lengthMs, lengthMs }]
}
