/** The two moves of the write route that every event ends in: it opens, or it is in doubt. */
import { isRunningPrimary } from '../cluster/members.ts'
import type { Member } from '../cluster/types.ts'
import { afterOpening, mayOpenAtMs, mayTryAtMs, REOPEN_GAP_MAX_MS } from './proof.ts'
import type { Doubt, WriteState } from './write-state.ts'

export type Proving = Extract<WriteState, { at: 'proving' }>
export type Proven = Extract<WriteState, { at: 'proven' }>
export type Leading = Proving | Proven

/** What every move needs to know beside its event. */
export type Scene = {
  readonly nowMs: number
  readonly stale: boolean
  readonly member: Member | null
}

/** How long an answer is waited for that nothing depends on. */
export const VERIFY_LIMIT_MS = 5000

/** After a proof of `asOfMs`; stays closed while openings have to be rare. */
export function open(
  write: Proving,
  asOfMs: number,
  nowMs: number,
  member: Member | null,
): Leading {
  if (nowMs < mayOpenAtMs(write.pace)) return write
  const keyChanged = member?.changed ?? write.doubt.changed
  const pace = afterOpening(write.pace, nowMs)
  return { at: 'proven', lead: write.lead, asOfMs, keyChanged, verify: null, pace }
}

/**
 * Opens without a new proof: connecting failed, nobody answers why, and etcd still has the leader and
 * its key as they were when it was proven. The next client's attempt is the test, and a rare one.
 */
export function tryUnanswered(write: WriteState, { nowMs, stale, member }: Scene): WriteState {
  if (write.at !== 'proving' || stale || member === null || !isRunningPrimary(member)) return write
  const atMs = mayTryAtMs(write.doubt, write.pace)
  if (atMs === null || nowMs < atMs) return write
  const opened = open(write, write.doubt.atMs, nowMs, member)
  return { ...opened, pace: { openedAtMs: nowMs, gapMs: REOPEN_GAP_MAX_MS } }
}

/** The proof, if there was one, is void. */
export function doubtIt({ lead, pace }: Leading, doubt: Doubt): Leading {
  return { at: 'proving', lead, doubt, pace }
}

/** Known to be in recovery by its own word, newer than any other. */
export function isInRecovery(write: WriteState): boolean {
  if (write.at === 'vacant') return write.inRecovery
  return write.at === 'proving' && write.doubt.kind === 'in-recovery'
}
