/** What a client is told when the router ends its connection, and what the log calls it. */
import type { ClientTls, EndReason } from '../../core/fleet/messages.ts'
import {
  badTarget,
  fatalError,
  loginTimeout,
  noPrimary,
  noServer,
  primaryChanged,
  protocolViolation,
  routerStopping,
  serverLost,
  tlsRequired,
  tooMany,
} from '../../core/pgwire/errors.ts'
import type { Startup } from '../../core/pgwire/startup.ts'
import { TARGETS, type Target } from '../../core/routing/types.ts'
import type { DialResult } from './dial.ts'
import { certificateName } from './opening.ts'
import type { CutReason, Tunnel } from './tunnel.ts'
import type { Wire } from './wire.ts'

export type Ending = {
  /** Null: nothing is said. */
  readonly answer: Buffer | null
  readonly reason: EndReason
  /** For the log only. */
  readonly words: string | null
}

function ending(answer: Buffer | null, reason: EndReason, words: string | null = null): Ending {
  return { answer, reason, words }
}

export const ENDINGS = {
  tooManyClients: () => ending(tooMany('clients already'), 'too-many-clients'),
  tooManyWaiting: () => ending(tooMany('clients wait for a server'), 'too-many-waiting'),
  loginTimeout: () => ending(loginTimeout(), 'login-timeout'),
  draining: () => ending(routerStopping(), 'draining'),
  cancelDone: () => ending(null, 'cancel-request'),
  cancelDropped: () => ending(null, 'cancel-request', 'dropped: too many cancel requests at once'),
  otherQuestion: () => ending(primaryChanged(), 'primary-changed'),
  violation: (what: string) => ending(protocolViolation(what), 'protocol-violation', what),

  certificateRefused(why: string): Ending {
    const text = `connection requires a valid client certificate: ${why}`
    return ending(fatalError('28000', text), 'tls-failed', why)
  },

  /** `last`: what the last attempt failed of. */
  holdTimeout(target: Target, words: string, last: string | null): Ending {
    const text = last === null ? words : `${words} (last attempt: ${last})`
    const answer = target === 'primary' ? noPrimary(text) : noServer(target, text)
    return ending(answer, 'hold-timeout', text)
  },

  refusedByServer(result: DialResult & { kind: 'rejected' | 'unsafe' }): Ending {
    if (result.kind === 'rejected') {
      return ending(result.answer, 'rejected-by-server', `SQLSTATE ${result.sqlstate}`)
    }
    const answer = fatalError('08006', `server connection lost: ${result.why}`)
    return ending(answer, 'server-error', result.why)
  },

  /** A cut is said only where the client can understand it. */
  cut(reason: CutReason, plainly: boolean): Ending {
    const words = reason === 'draining' ? routerStopping() : primaryChanged()
    return ending(plainly ? words : null, reason)
  },

  serverGone(tunnel: Tunnel, unexplained: boolean): Ending {
    const answer = unexplained && tunnel.speaksPlainly ? serverLost(tunnel.lostWork) : null
    return ending(answer, tunnel.saidGoodbye ? 'client-closed' : 'server-closed')
  },
} as const

/** Ends that leave the client what was already on its way to it, also when nothing is added. */
export function isFlushed({ answer, reason }: Ending): boolean {
  return answer !== null || FLUSHED.has(reason)
}

const FLUSHED: ReadonlySet<EndReason> = new Set([
  'server-closed',
  'client-closed',
  'cancel-request',
])

/** Why a startup packet is refused here; null if it is not. `mode` null: TLS does not end here. */
export function judgeStartup(
  startup: Startup,
  mode: ClientTls['mode'] | null,
  client: Wire,
  encrypted: boolean,
): Ending | null {
  const optional = mode === null || mode === 'allow' || mode === 'prefer'
  if (!optional && !encrypted) return ending(tlsRequired(), 'tls-required')
  if (mode === 'verify-full' && certificateName(client) !== startup.user) {
    const text = 'the common name of the client certificate is not the user name'
    return ending(fatalError('28000', text), 'tls-failed', text)
  }
  if (startup.target !== null && knownTarget(startup.target) === null) {
    return ending(badTarget(startup.target, TARGETS), 'protocol-violation', 'pgsteer.target')
  }
  return null
}

export function knownTarget(text: string): Target | null {
  return TARGETS.find((known) => known === text) ?? null
}
