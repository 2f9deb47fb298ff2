/**
 * Takes host and port out of the URLs that members publish. Written by hand because a connection
 * URL may name several hosts, which the URL standard does not know.
 */

export const POSTGRES_PORT = 5432
/** Longer URLs are refused; a DNS name has at most 253 characters. */
export const URL_CHARS_MAX = 4096
export const HOST_CHARS_MAX = 255

export type Address = { readonly host: string; readonly port: number }

/** A value, or what is wrong with the text; `otherHosts` counts hosts that were passed over. */
export type ConnUrl =
  | { readonly kind: 'address'; readonly address: Address; readonly otherHosts: number }
  | { readonly kind: 'fault'; readonly what: string }

/**
 * The first host of `postgres://` or `postgresql://[user@]host[:port][,…][/db][?…]`. IPv6 stands in
 * brackets and loses them, percent-encoding is undone, a missing port is 5432. A socket directory is
 * refused: it names nothing that another machine could reach.
 */
export function parseConnUrl(url: string): ConnUrl {
  if (url.length > URL_CHARS_MAX) return fault(`longer than ${URL_CHARS_MAX} characters`)
  const authority = /^postgres(?:ql)?:\/\/([^/?#]*)/i.exec(url)?.[1]
  if (authority === undefined) return fault('not a postgres:// URL')
  const [first = '', ...others] = withoutUser(authority).split(',')
  const address = parseHostPort(first, POSTGRES_PORT)
  if (address === null) return fault('no usable host and port')
  return { kind: 'address', address, otherHosts: others.length }
}

/** `http(s)://host[:port]` of an `api_url`, without user and path; null when it is not one. */
export function parseApiUrl(url: string): string | null {
  if (url.length > URL_CHARS_MAX) return null
  const match = /^(https?):\/\/([^/?#]*)/i.exec(url)
  if (match === null) return null
  const scheme = (match[1] ?? '').toLowerCase()
  const authority = withoutUser(match[2] ?? '')
  const origin = `${scheme}://${authority}`
  const usable = parseHostPort(authority, scheme === 'https' ? 443 : 80) !== null
  return usable && URL.canParse(origin) ? origin : null
}

/** `host`, `host:port`, `[v6]` or `[v6]:port`; null when it is none of them. */
function parseHostPort(text: string, otherwise: number): Address | null {
  const match = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d{0,5}))?$/.exec(text)
  if (match === null) return null
  const host = readHost(match[1] ?? '')
  const port = match[2] ? Number(match[2]) : otherwise
  return host === null || port < 1 || port > 65535 ? null : { host, port }
}

function readHost(text: string): string | null {
  const bracketed = text.startsWith('[')
  const host = percentDecoded(bracketed ? text.slice(1, -1) : text)
  if (host === null || host.length === 0 || host.length > HOST_CHARS_MAX) return null
  if (bracketed) return isIpv6(host) ? host : null
  // An address of the wrong family, a path or a blank in a host name is a mistake, not a name.
  return /^[^\p{Cc}\p{Cs}\s/\\?#@[\]:,%]+$/u.test(host) ? host : null
}

/** The URL standard's own check; a zone (`fe80::1%eth0`) is not part of it. */
function isIpv6(host: string): boolean {
  const [address = '', zone, ...more] = host.split('%')
  if (more.length > 0 || (zone !== undefined && !/^[\w.-]+$/.test(zone))) return false
  return (
    address.includes(':') && /^[0-9a-f:.]+$/i.test(address) && URL.canParse(`http://[${address}]`)
  )
}

/** Drops `user:password@`; the last `@` counts, as passwords may hold one. */
function withoutUser(authority: string): string {
  return authority.slice(authority.lastIndexOf('@') + 1)
}

function percentDecoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

function fault(what: string): ConnUrl {
  return { kind: 'fault', what }
}
