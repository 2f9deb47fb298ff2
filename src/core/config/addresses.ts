/** Reads addresses as people write them. Knows the shapes only: nothing is resolved or bound. */
import type { ListenAddress } from '../fleet/messages.ts'
import type { HostPort } from './types.ts'

/** Longest path a unix socket can have on Linux (`sun_path` without its end mark). */
const UNIX_PATH_BYTES_MAX = 107

export function isIpv4(text: string): boolean {
  const parts = text.split('.')
  return (
    parts.length === 4 && parts.every((it) => /^(0|[1-9]\d{0,2})$/.test(it) && Number(it) < 256)
  )
}

/** IPv6 without brackets and without zone; the URL parser knows the grammar. */
export function isIpv6(text: string): boolean {
  return (
    /^[0-9a-fA-F:.]{2,45}$/.test(text) && text.includes(':') && URL.canParse(`http://[${text}]/`)
  )
}

/** An address or CIDR block. */
export function isNetwork(text: string): boolean {
  const found = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text)
  if (found === null) return false
  const address = found[1]!
  const bits = Number(found[2] ?? 0)
  return (isIpv4(address) && bits <= 32) || (isIpv6(address) && bits <= 128)
}

function isHostName(text: string): boolean {
  if (/^[\d.]+$/.test(text)) return isIpv4(text)
  return (
    text.length <= 253 &&
    /^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?$/.test(text)
  )
}

/** A port number from text, or null. */
export function parsePort(text: string): number | null {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return port >= 1 && port <= 65535 ? port : null
}

/** `host:port`; as in Patroni the last colon divides and brackets may be left out. */
export function parseHostPort(text: string, defaultPort: number | null): HostPort | null {
  const bare = stripBrackets(text)
  if (defaultPort !== null && isHost(bare)) return { host: bare, port: defaultPort }
  const colon = text.lastIndexOf(':')
  const host = stripBrackets(text.slice(0, Math.max(colon, 0)))
  const port = parsePort(text.slice(colon + 1))
  return port !== null && (host === '*' || isHost(host)) ? { host, port } : null
}

function isHost(text: string): boolean {
  return isHostName(text) || isIpv6(text)
}

function stripBrackets(text: string): string {
  return text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
}

/** `host:port` with the brackets IPv6 needs. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/**
 * What one entry of `listen` binds; null when it can't be read. `*` is two sockets, so that IPv4
 * clients keep their own address in logs and in proxy_protocol lists.
 */
export function parseListen(text: string): readonly ListenAddress[] | null {
  if (text.startsWith('/')) return parseUnix(text)
  const found = /^(\*|\[[^\]]*\]|[^:[\]]+):(\d+)$/.exec(text)
  const port = found === null ? null : parsePort(found[2]!)
  if (found === null || port === null) return null
  const host = found[1]!
  if (host === '*') {
    return [tcp('0.0.0.0', port), tcp('::', port)]
  }
  if (host.startsWith('[')) return isIpv6(host.slice(1, -1)) ? [tcp(host.slice(1, -1), port)] : null
  return isHostName(host) ? [tcp(host, port)] : null
}

function tcp(host: string, port: number): ListenAddress {
  return { kind: 'tcp', host, port, ipv6Only: host.includes(':') }
}

function parseUnix(text: string): readonly ListenAddress[] | null {
  const found = /^(\/.*?)\/*:(\d+)$/.exec(text)
  const port = found === null ? null : parsePort(found[2]!)
  if (found === null || port === null || text.includes('\0')) return null
  const path = `${found[1] === '/' ? '' : found[1]}/.s.PGSQL.${port}`
  const bytes = new TextEncoder().encode(path).length
  return bytes <= UNIX_PATH_BYTES_MAX ? [{ kind: 'unix', path }] : null
}

/** The same address in the same words, to compare by. */
export function listenKey(address: ListenAddress): string {
  return address.kind === 'unix' ? address.path : formatHostPort(address)
}

/** Two TCP addresses that can't both be bound by programs that do not share the port. */
export function overlaps(a: HostPort, b: HostPort): boolean {
  if (a.port !== b.port) return false
  const wild = (host: string) => host === '*' || host === '::' || host === '0.0.0.0'
  const both = (host: string) => host === '*' || host === '::'
  if (a.host === b.host || both(a.host) || both(b.host)) return true
  return (wild(a.host) && !b.host.includes(':')) || (wild(b.host) && !a.host.includes(':'))
}
