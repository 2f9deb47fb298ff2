/**
 * The PROXY protocol header, version 1 (text) and 2 (binary), with which a load balancer in front
 * says who the client is. Only read from addresses a listener trusts; a header is then required.
 */
import { formatAddress, parseAddress, parseDecimal, UNIX_ADDRESS } from './addresses.ts'

/** The protocol's own limit, CRLF included. */
export const PROXY_V1_BYTES_MAX = 107
/** Version 2 allows 65,551 bytes; addresses take at most 232, the rest are TLVs we do not read. */
export const PROXY_V2_BYTES_MAX = 4096

export type ProxySource = {
  /** An IP address in its usual text, or `unix` and the path, if one was sent: `unix:/run/s`. */
  readonly host: string
  /** 0 for a unix socket. */
  readonly port: number
}

export type ProxyHeader =
  | { readonly kind: 'need-more' }
  /** `source` is null when the header says to use the connection's own (LOCAL, UNKNOWN). */
  | { readonly kind: 'header'; readonly size: number; readonly source: ProxySource | null }
  | { readonly kind: 'violation'; readonly what: string }

const NEED_MORE: ProxyHeader = { kind: 'need-more' }
const V1_SIGNATURE = Buffer.from('PROXY ')
const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n')
const V2_FIXED_BYTES = 16
const UNIX_PATH_BYTES = 108
const CARRIAGE_RETURN = 0x0d
const LINE_FEED = 0x0a

/** Reads the header at the start of `bytes`, all that was received so far; `size` is its end. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (bytes.length === 0) return NEED_MORE
  const signature = bytes[0] === V2_SIGNATURE[0] ? V2_SIGNATURE : V1_SIGNATURE
  const here = Math.min(bytes.length, signature.length)
  if (bytes.compare(signature, 0, here, 0, here) !== 0) return violation('no PROXY header')
  if (here < signature.length) return NEED_MORE
  return signature === V1_SIGNATURE ? parseV1(bytes) : parseV2(bytes)
}

function parseV1(bytes: Buffer): ProxyHeader {
  const lineFeed = bytes.subarray(0, PROXY_V1_BYTES_MAX).indexOf(LINE_FEED)
  if (lineFeed < 0) {
    return bytes.length < PROXY_V1_BYTES_MAX ? NEED_MORE : violation('PROXY header too long')
  }
  if (bytes[lineFeed - 1] !== CARRIAGE_RETURN) return violation('PROXY header not ended by CRLF')
  const size = lineFeed + 1
  const words = bytes.toString('latin1', 0, lineFeed - 1).split(' ')
  if (words[1] === 'UNKNOWN') return { kind: 'header', size, source: null }
  const source = readV1Source(words)
  return source === null ? violation('bad PROXY address') : { kind: 'header', size, source }
}

/** `PROXY TCP4|TCP6 source destination source-port destination-port`, all of it checked. */
function readV1Source(words: readonly string[]): ProxySource | null {
  if (words.length !== 6 || (words[1] !== 'TCP4' && words[1] !== 'TCP6')) return null
  const [, family, sourceText, targetText, sourcePort, targetPort] = words as string[]
  const wantColon = family === 'TCP6'
  if (sourceText!.includes(':') !== wantColon || targetText!.includes(':') !== wantColon)
    return null
  const source = parseAddress(sourceText!)
  const port = parseDecimal(sourcePort!, 65_535)
  if (source === null || port < 0) return null
  if (parseAddress(targetText!) === null || parseDecimal(targetPort!, 65_535) < 0) return null
  return { host: formatAddress(source), port }
}

function parseV2(bytes: Buffer): ProxyHeader {
  const versionAndCommand = bytes[12]
  if (versionAndCommand === undefined) return NEED_MORE
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21) {
    return violation('unknown PROXY version or command')
  }
  if (bytes.length < V2_FIXED_BYTES) return NEED_MORE
  const size = V2_FIXED_BYTES + bytes.readUInt16BE(14)
  if (size > PROXY_V2_BYTES_MAX) return violation('PROXY header too long')
  if (bytes.length < size) return NEED_MORE
  if (versionAndCommand === 0x20) return { kind: 'header', size, source: null }
  return readV2Source(bytes[13]!, bytes.subarray(V2_FIXED_BYTES, size), size)
}

function readV2Source(family: number, body: Buffer, size: number): ProxyHeader {
  switch (family) {
    case 0x00:
      return { kind: 'header', size, source: null }
    case 0x11:
      return readV2Tcp(body, 4, size)
    case 0x21:
      return readV2Tcp(body, 16, size)
    case 0x31:
      return readV2Unix(body, size)
    default:
      return violation('unknown PROXY address family')
  }
}

/** Source address, destination address, source port, destination port. */
function readV2Tcp(body: Buffer, width: 4 | 16, size: number): ProxyHeader {
  if (body.length < 2 * width + 4) return violation('PROXY header too short for its addresses')
  const source = {
    host: formatAddress(body.subarray(0, width)),
    port: body.readUInt16BE(2 * width),
  }
  return { kind: 'header', size, source }
}

function readV2Unix(body: Buffer, size: number): ProxyHeader {
  if (body.length < 2 * UNIX_PATH_BYTES)
    return violation('PROXY header too short for its addresses')
  const end = body.indexOf(0)
  const path = body.toString('utf8', 0, end < 0 ? UNIX_PATH_BYTES : Math.min(end, UNIX_PATH_BYTES))
  const host = path === '' ? UNIX_ADDRESS : `${UNIX_ADDRESS}:${path}`
  return { kind: 'header', size, source: { host, port: 0 } }
}

function violation(what: string): ProxyHeader {
  return { kind: 'violation', what }
}
