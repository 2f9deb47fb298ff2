/** Connection strings for the listeners of a configuration. */
import type { ListenAddress } from '../fleet/messages.ts'
import type { Target } from '../routing/types.ts'

export type DsnRole = 'primary' | 'replica' | 'any'

export type DsnListener = {
  readonly name: string
  readonly target: Target
  readonly addresses: readonly ListenAddress[]
}

const TARGETS_OF: Readonly<Record<DsnRole, readonly Target[]>> = {
  primary: ['primary'],
  replica: ['replica', 'sync'],
  any: ['any', 'replica', 'sync', 'primary'],
}
const WILDCARDS = ['0.0.0.0', '::', '*']

/**
 * A libpq URI for clients with this role, or null when no listener serves it. `ownHost` stands in
 * for a wildcard address. A listener for `any` can be narrowed to a role by the startup option.
 */
export function buildDsn(
  listeners: readonly DsnListener[],
  role: DsnRole,
  ownHost: string,
): { readonly listener: string; readonly uri: string } | null {
  for (const target of TARGETS_OF[role]) {
    const listener = listeners.find((it) => it.target === target)
    if (listener !== undefined) return dsnOf(listener, ownHost, null)
  }
  const wide = listeners.find((it) => it.target === 'any')
  return wide === undefined ? null : dsnOf(wide, ownHost, role)
}

function dsnOf(listener: DsnListener, ownHost: string, narrowTo: DsnRole | null) {
  const address = listener.addresses.find((it) => it.kind === 'tcp') ?? listener.addresses[0]
  if (address === undefined) return null
  const options = narrowTo === null ? [] : [['options', `-c pgsteer.target=${narrowTo}`] as const]
  if (address.kind === 'tcp') {
    const host = WILDCARDS.includes(address.host) ? ownHost : address.host
    return { listener: listener.name, uri: tcpUri(host, address.port, options) }
  }
  return { listener: listener.name, uri: unixUri(address.path, options) }
}

function tcpUri(host: string, port: number, options: Options): string {
  const shown = host.includes(':') ? `[${host}]` : host
  return `postgresql://${shown}:${port}/${query(options)}`
}

/** libpq wants the directory and the port that is in the socket's name. */
function unixUri(path: string, options: Options): string {
  const slash = path.lastIndexOf('/')
  const port = /\.s\.PGSQL\.(\d+)$/.exec(path)?.[1]
  const place = [['host', path.slice(0, slash) || '/'] as const]
  const numbered = port === undefined ? [] : [['port', port] as const]
  return `postgresql:///${query([...place, ...numbered, ...options])}`
}

type Options = readonly (readonly [string, string])[]

function query(options: Options): string {
  const parts = options.map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
  return parts.length === 0 ? '' : `?${parts.join('&')}`
}
