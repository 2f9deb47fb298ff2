/**
 * A requested switchover (`failover` key): from its moment on new connections wait, so that nobody
 * begins a login on a server that is about to stop.
 */
import type { ClusterView, FailoverRequest } from '../cluster/types.ts'

/** A request that led to nothing holds the write route for no longer than this. */
export const SWITCHOVER_HOLD_MAX_MS = 10_000

export type Switchover =
  | { readonly at: 'none' }
  | { readonly at: 'scheduled'; readonly changed: number; readonly fromMs: number }
  | {
      readonly at: 'holding'
      readonly changed: number
      readonly untilMs: number
      readonly words: string
    }
  /** This request was served by a new term, withdrawn or given up: it holds nothing any more. */
  | { readonly at: 'over'; readonly changed: number }

export const NO_SWITCHOVER: Switchover = { at: 'none' }

/** Follows the `failover` key of the current leader; `newTerm`: this step began a leadership. */
export function followSwitchover(
  before: Switchover,
  view: ClusterView,
  newTerm: boolean,
  nowMs: number,
): Switchover {
  if (view.leader === null) return before
  const request = view.failover
  if (request === null) return NO_SWITCHOVER
  const known = before.at !== 'none' && before.changed === request.changed
  if (known && before.at === 'over') return before
  if (known && before.at === 'holding' && isOver(before, view, newTerm, nowMs)) {
    return { at: 'over', changed: request.changed }
  }
  if (known && before.at === 'holding') return before
  return concerns(request, view) ? begin(request, view.leader.member, nowMs) : NO_SWITCHOVER
}

function isOver(
  holding: Extract<Switchover, { at: 'holding' }>,
  view: ClusterView,
  newTerm: boolean,
  nowMs: number,
): boolean {
  return newTerm || nowMs >= holding.untilMs || !concerns(view.failover, view)
}

/** Patroni acts on it if it names the leader, or no leader and somebody else as candidate. */
function concerns(request: FailoverRequest | null, { leader, config }: ClusterView): boolean {
  if (request === null || leader === null || config.paused) return false
  if (request.candidate === leader.member) return false
  return request.leader === null ? request.candidate !== null : request.leader === leader.member
}

function begin(request: FailoverRequest, leader: string, nowMs: number): Switchover {
  const { changed, scheduledAtMs } = request
  if (scheduledAtMs !== null && scheduledAtMs > nowMs) {
    return { at: 'scheduled', changed, fromMs: scheduledAtMs }
  }
  const to = request.candidate === null ? '' : ` to ${request.candidate}`
  const words = `a switchover from ${leader}${to} was requested`
  return { at: 'holding', changed, untilMs: nowMs + SWITCHOVER_HOLD_MAX_MS, words }
}
