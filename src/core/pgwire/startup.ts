/**
 * What a client says before it is authenticated: the untyped packets that open a connection.
 * Follows PostgreSQL's ProcessStartupPacket. A length is judged before anything is kept or waited
 * for, and nothing here throws, whatever the bytes are.
 */
import { readOption } from './startup-options.ts'

/**
 * The longest packet PostgreSQL takes here, length word included: MAX_STARTUP_PACKET_LENGTH
 * (10,000) counts what follows the length word.
 */
export const STARTUP_BYTES_MAX = 10_004

export const SSL_REQUEST_CODE = 80_877_103
export const GSSENC_REQUEST_CODE = 80_877_104
export const CANCEL_REQUEST_CODE = 80_877_102
/** The setting with which a connection narrows the target of its listener. */
export const TARGET_SETTING = 'pgsteer.target'

/** First byte of a TLS handshake record; as a length word it would mean more than 350 MB. */
const TLS_HANDSHAKE = 0x16
const LENGTH_BYTES = 4
const FIXED_BYTES = 8
const CANCEL_FIXED_BYTES = 12
/** Secret keys have 4 bytes in protocol 3.0, up to 256 in 3.2. */
export const CANCEL_KEY_BYTES_MIN = 4
export const CANCEL_KEY_BYTES_MAX = 256

const BAD_LENGTH = 'invalid length of startup packet'
const BAD_LAYOUT = 'invalid startup packet layout: expected terminator as last byte'

export type StartupParameters = ReadonlyMap<string, string>

export type Replication = 'none' | 'physical' | 'logical'

export type Startup = {
  readonly kind: 'startup'
  readonly size: number
  readonly protocol: { readonly major: number; readonly minor: number }
  /** As sent, the last value where a name comes twice. */
  readonly parameters: StartupParameters
  readonly user: string | null
  readonly database: string | null
  readonly application: string | null
  readonly replication: Replication
  /** Unchecked value of `pgsteer.target`; null when the client did not ask. */
  readonly target: string | null
}

export type Cancel = {
  readonly kind: 'cancel'
  readonly size: number
  readonly pid: number
  readonly key: Buffer
  /** The whole packet, to be sent on as it is. */
  readonly bytes: Buffer
}

export type Opening =
  | { readonly kind: 'need-more' }
  | { readonly kind: 'ssl-request' | 'gssenc-request'; readonly size: 8 }
  | { readonly kind: 'direct-tls' }
  | Cancel
  | Startup
  | { readonly kind: 'violation'; readonly what: string }

const NEED_MORE: Opening = { kind: 'need-more' }

/**
 * Reads the packet at the start of `bytes`, which is everything received so far at this stage.
 * `size` is where the packet ends; what follows is the caller's. `need-more` never asks for more
 * than `STARTUP_BYTES_MAX` bytes in all. What is returned shares no memory with `bytes`.
 */
export function parseOpening(bytes: Buffer): Opening {
  if (bytes.length === 0) return NEED_MORE
  if (bytes[0] === TLS_HANDSHAKE) return { kind: 'direct-tls' }
  if (shortestLength(bytes) > STARTUP_BYTES_MAX) return violation(BAD_LENGTH)
  if (bytes.length < LENGTH_BYTES) return NEED_MORE
  const size = bytes.readUInt32BE(0)
  if (size < FIXED_BYTES) return violation(BAD_LENGTH)
  if (bytes.length < FIXED_BYTES) return NEED_MORE
  return parsePacket(bytes, size, bytes.readUInt32BE(LENGTH_BYTES))
}

/** The least length the bytes of the length word that are here can mean: rubbish ends at once. */
function shortestLength(bytes: Buffer): number {
  let length = 0
  for (let at = 0; at < LENGTH_BYTES; at++) length = length * 256 + (bytes[at] ?? 0)
  return length
}

function parsePacket(bytes: Buffer, size: number, code: number): Opening {
  switch (code) {
    case SSL_REQUEST_CODE:
      return size === FIXED_BYTES ? { kind: 'ssl-request', size } : violation(BAD_LENGTH)
    case GSSENC_REQUEST_CODE:
      return size === FIXED_BYTES ? { kind: 'gssenc-request', size } : violation(BAD_LENGTH)
    case CANCEL_REQUEST_CODE:
      return parseCancel(bytes, size)
    default:
      return parseStartup(bytes, size, code)
  }
}

function parseCancel(bytes: Buffer, size: number): Opening {
  const keyBytes = size - CANCEL_FIXED_BYTES
  if (keyBytes < CANCEL_KEY_BYTES_MIN || keyBytes > CANCEL_KEY_BYTES_MAX) {
    return violation('invalid length of query cancel packet')
  }
  if (bytes.length < size) return NEED_MORE
  const packet = Buffer.from(bytes.subarray(0, size))
  const key = packet.subarray(CANCEL_FIXED_BYTES)
  return { kind: 'cancel', size, pid: packet.readInt32BE(FIXED_BYTES), key, bytes: packet }
}

function parseStartup(bytes: Buffer, size: number, code: number): Opening {
  const protocol = { major: code >>> 16, minor: code & 0xffff }
  if (protocol.major !== 3) return violation(unsupportedProtocol(protocol))
  if (bytes.length < size) return NEED_MORE
  const parameters = readParameters(bytes.subarray(FIXED_BYTES, size))
  if (parameters === null) return violation(BAD_LAYOUT)
  return {
    kind: 'startup',
    size,
    protocol,
    parameters,
    user: parameters.get('user') || null,
    database: parameters.get('database') || null,
    application: parameters.get('application_name') || null,
    replication: readReplication(parameters.get('replication') ?? ''),
    target: readTarget(parameters),
  }
}

/** PostgreSQL's words for a protocol it does not speak; any minor version of 3 is the server's to judge. */
export function unsupportedProtocol(protocol: { major: number; minor: number }): string {
  return `unsupported frontend protocol ${protocol.major}.${protocol.minor}: only 3.x is supported`
}

/** Pairs of NUL-terminated strings, ended by a NUL that must be the last byte; null if they are not. */
function readParameters(bytes: Buffer): Map<string, string> | null {
  const parameters = new Map<string, string>()
  let at = 0
  while (at < bytes.length && bytes[at] !== 0) {
    const nameEnd = bytes.indexOf(0, at)
    if (nameEnd < 0) return null
    const valueEnd = bytes.indexOf(0, nameEnd + 1)
    if (valueEnd < 0) return null
    parameters.set(
      bytes.toString('utf8', at, nameEnd),
      bytes.toString('utf8', nameEnd + 1, valueEnd),
    )
    at = valueEnd + 1
  }
  return at === bytes.length - 1 ? parameters : null
}

/** `database` or a boolean as PostgreSQL reads it. A wrong value is left to the server to refuse. */
function readReplication(value: string): Replication {
  if (value === 'database') return 'logical'
  const word = value.toLowerCase()
  if (word === '') return 'none'
  const on = 'true'.startsWith(word) || 'yes'.startsWith(word) || word === 'on' || word === '1'
  return on ? 'physical' : 'none'
}

/** A parameter beats `options`, as PostgreSQL applies the parameters after the options. */
function readTarget(parameters: StartupParameters): string | null {
  let target = readOption(parameters.get('options') ?? '', TARGET_SETTING)
  for (const [name, value] of parameters) {
    if (name.toLowerCase() === TARGET_SETTING) target = value
  }
  return target
}

function violation(what: string): Opening {
  return { kind: 'violation', what }
}
