/** What the settings of a worker mean for connections to servers and for TLS. */
import { createSecureContext, type SecureContext } from 'node:tls'
import type { WorkerSettings } from '../../core/fleet/messages.ts'
import type { Backend } from '../../core/routing/types.ts'
import type { DialSettings } from './board.ts'
import type { PlainServers } from './dial.ts'

/** How long a server is taken to still not do TLS after it has said so. */
const PLAIN_SERVER_MS = 60_000
/** How long a server may take for its first answer; a change of leader ends the attempt at once. */
const ANSWER_MS = 10_000

/** Throws on TLS texts that are no certificate or key. */
export function dialSettingsOf({ serverTls, limits, keepalive }: WorkerSettings): DialSettings {
  const some = serverTls.ca !== null || serverTls.cert !== null
  return {
    connectTimeoutMs: limits.connectTimeoutMs,
    answerTimeoutMs: ANSWER_MS,
    keepaliveMs: keepalive.idleMs,
    tls: { ...serverTls, context: some ? contextOf(serverTls) : null },
    plainServers: rememberPlain(),
  }
}

type Pem = { readonly ca: string | null; readonly cert: string | null; readonly key: string | null }

/** Null for null. Throws on texts that are no certificate or key. */
export function contextOf(pem: Pem | null): SecureContext | null {
  if (pem === null) return null
  const { ca, cert, key } = pem
  return createSecureContext({
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
  })
}

function rememberPlain(): PlainServers {
  const known = new Map<string, number>()
  const key = (backend: Backend): string => `${backend.host}:${backend.port}`
  return {
    has: (backend) => (known.get(key(backend)) ?? 0) > performance.now(),
    add: (backend) => known.set(key(backend), performance.now() + PLAIN_SERVER_MS),
  }
}
