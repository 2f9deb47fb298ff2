/** What a session needs of the worker it lives in, and what can be said of a session. */
import type { ClientInfo, EndReason } from '../../core/fleet/messages.ts'
import type { Cancel } from '../../core/pgwire/startup.ts'
import type { Backend } from '../../core/routing/types.ts'
import type { DialPlan, DialResult } from './dial.ts'
import type { OpeningPlan } from './opening.ts'
import type { Session } from './session.ts'

export interface Board {
  readonly plan: DialSettings
  openingPlan(session: Session): OpeningPlan
  /** Puts the session in line for its target; one that had its turn keeps its place. */
  enqueue(session: Session): void
  leaveLine(session: Session): void
  /** The attempt is over: the next in line may try. Null: given up here, which says nothing. */
  dialed(session: Session, backend: Backend, result: DialResult | null): void
  /** Whether a session on this backend would have to be cut at once. */
  isDeposed(backend: Backend): boolean
  established(session: Session, backend: Backend): void
  serverGone(session: Session, backend: Backend, unexplained: boolean): void
  sawHotStandby(backend: Backend): void
  cancel(session: Session, cancel: Cancel): void
  /** `leaving`: its last words are still on their way to the client; `left` follows. */
  ended(session: Session, reason: EndReason, words: string | null, leaving: boolean): void
  left(): void
  /** So many are leaving that a further one can't be waited for. */
  readonly crowded: boolean
}

export type DialSettings = Omit<DialPlan, 'backend' | 'purpose' | 'mustWrite'>

export function describeSession(session: Session): ClientInfo {
  const { source, startup, tunnel } = session
  return {
    id: session.id,
    listener: session.listener,
    client: source.port === 0 ? source.host : `${source.host}:${source.port}`,
    user: startup?.user ?? null,
    database: startup?.database ?? startup?.user ?? null,
    application: startup?.application ?? null,
    target: session.target,
    state: session.state === 'ended' ? 'closing' : session.state,
    backend: session.backend?.member ?? null,
    transaction: transactionOf(session),
    sinceMs: Math.round(performance.now() - session.acceptedAtMs),
    bytesIn: tunnel?.bytesIn ?? 0,
    bytesOut: tunnel?.bytesOut ?? 0,
    tls: session.tls,
  }
}

function transactionOf({ tunnel }: Session): ClientInfo['transaction'] {
  const status = tunnel?.cursor?.transaction ?? null
  return status === 'idle' && tunnel!.awaited ? 'active' : status
}
