/**
 * The server's first answers to a startup packet, read before any byte of them is forwarded: here is
 * where "not yet" is told from "no", and where a hot standby can still be swapped for a primary.
 */
import { readError } from './errors.ts'
import { frame } from './messages.ts'
import {
  SAW_ERROR_RESPONSE,
  SAW_READY_FOR_QUERY,
  SERVER_MALFORMED,
  ServerCursor,
} from './server-stream.ts'

/** Longest first answer, header included; libpq takes an error of the same 30,000 bytes. */
export const FIRST_ANSWER_BYTES_MAX = 30_000

export type AuthMethod = 'ok' | 'password' | 'md5' | 'sasl' | 'other'

export type FirstAnswer =
  | { readonly kind: 'need-more' }
  | { readonly kind: 'auth'; readonly method: AuthMethod; readonly size: number }
  | {
      readonly kind: 'refused'
      readonly sqlstate: string
      readonly severity: string
      readonly message: string
      /** The server is starting up, shutting down or recovering from a crash: worth another try. */
      readonly notYet: boolean
      readonly size: number
    }
  /** `N` NoticeResponse or `v` NegotiateProtocolVersion: forward and read on. */
  | { readonly kind: 'other'; readonly type: 'N' | 'v'; readonly size: number }
  | { readonly kind: 'violation'; readonly what: string }

const NEED_MORE = { kind: 'need-more' } as const
const HEADER_BYTES = 5
const AUTHENTICATION = 0x52
const ERROR_RESPONSE = 0x45
const NOTICE_RESPONSE = 0x4e
const NEGOTIATE_PROTOCOL_VERSION = 0x76

/** cannot_connect_now, admin_shutdown, crash_shutdown. */
const NOT_YET = new Set(['57P03', '57P01', '57P02'])
/** Given to an error that carries no SQLSTATE: insufficient_resources, its only known reason. */
const NO_FORK_SQLSTATE = '53000'

const AUTH_METHODS = new Map<number, AuthMethod>([
  [0, 'ok'],
  [3, 'password'],
  [5, 'md5'],
  [10, 'sasl'],
])

/**
 * Reads the message that begins at `from`; `size` counts from there. After `auth` the login is the
 * client's and the server's own affair, after `other` the next message is to be read the same way.
 * `need-more` never asks for more than `FIRST_ANSWER_BYTES_MAX` bytes after `from`.
 */
export function readFirstAnswer(bytes: Buffer, from: number): FirstAnswer {
  const here = bytes.length - from
  if (here < 1) return NEED_MORE
  const type = bytes[from]!
  if (!isFirstAnswer(type)) return violation(`unexpected message type ${printable(type)}`)
  if (here < HEADER_BYTES) return NEED_MORE
  const size = 1 + bytes.readUInt32BE(from + 1)
  if (size < HEADER_BYTES || size > FIRST_ANSWER_BYTES_MAX) {
    if (type === ERROR_RESPONSE) return readForkFailure(bytes, from)
    return violation(`invalid message length ${size - 1}`)
  }
  if (here < size) return NEED_MORE
  return readWhole(type, bytes.subarray(from + HEADER_BYTES, from + size), size)
}

function isFirstAnswer(type: number): boolean {
  return (
    type === AUTHENTICATION ||
    type === ERROR_RESPONSE ||
    type === NOTICE_RESPONSE ||
    type === NEGOTIATE_PROTOCOL_VERSION
  )
}

function readWhole(type: number, payload: Buffer, size: number): FirstAnswer {
  switch (type) {
    case AUTHENTICATION:
      return readAuthentication(payload, size)
    case ERROR_RESPONSE: {
      const error = readError(payload)
      return { kind: 'refused', ...error, notYet: NOT_YET.has(error.sqlstate), size }
    }
    case NOTICE_RESPONSE:
      return { kind: 'other', type: 'N', size }
    default:
      return { kind: 'other', type: 'v', size }
  }
}

function readAuthentication(payload: Buffer, size: number): FirstAnswer {
  if (payload.length < 4) return violation('authentication request without a method')
  const method = AUTH_METHODS.get(payload.readInt32BE(0)) ?? 'other'
  return { kind: 'auth', method, size }
}

const CHANNEL_BINDING_SUFFIX = '-PLUS'

/**
 * A server that asks for SCRAM over TLS also offers to bind the login to that TLS (`…-PLUS`). Where
 * the client has no part in it that can only fail, so the offer is taken out of the question.
 * `message` is a whole AuthenticationSASL message.
 */
export function withoutChannelBinding(message: Buffer): Buffer {
  const names = message.toString('latin1', HEADER_BYTES + 4).split('\0')
  const kept = names.filter((name) => !name.endsWith(CHANNEL_BINDING_SUFFIX))
  if (kept.length === names.length) return message
  const head = message.subarray(HEADER_BYTES, HEADER_BYTES + 4)
  return frame('R', Buffer.concat([head, Buffer.from(kept.join('\0'), 'latin1')]))
}

/** `E`, text, NUL: how PostgreSQL says, outside the protocol, that it could not start a backend. */
function readForkFailure(bytes: Buffer, from: number): FirstAnswer {
  const end = bytes.indexOf(0, from + 1)
  const size = (end < 0 ? bytes.length : end) + 1 - from
  if (size > FIRST_ANSWER_BYTES_MAX) return violation('error text without an end')
  if (end < 0) return NEED_MORE
  const message = bytes.toString('utf8', from + 1, end).trim()
  const sqlstate = NO_FORK_SQLSTATE
  return { kind: 'refused', sqlstate, severity: 'FATAL', message, notYet: false, size }
}

export type EncryptionAnswer =
  | { readonly kind: 'need-more' }
  | { readonly kind: 'accepted' | 'refused' }
  /** `E`: the server answered with an error instead; read it with `readFirstAnswer`. */
  | { readonly kind: 'error' }
  | { readonly kind: 'violation'; readonly what: string }

/**
 * A server's answer to our SSLRequest: `S` or `N`. Bytes after `S` came unencrypted and would be
 * taken for encrypted ones (CVE-2021-23222), so they are refused.
 */
export function readTlsAnswer(bytes: Buffer): EncryptionAnswer {
  if (bytes.length === 0) return NEED_MORE
  const answer = bytes[0]!
  if (answer === ERROR_RESPONSE) return { kind: 'error' }
  if (bytes.length > 1) return violation('unencrypted data after the answer to SSLRequest')
  if (answer === 0x53) return { kind: 'accepted' }
  if (answer === 0x4e) return { kind: 'refused' }
  return violation(`unexpected answer ${printable(answer)} to SSLRequest`)
}

export type TrustLogin = {
  /** `in_hot_standby` if reported so far; PostgreSQL 13 and older never report it. */
  readonly seenHotStandby: boolean | null
  /** The login has ended, by ReadyForQuery or by an error: no report can come any more. */
  readonly complete: boolean
  readonly malformed: boolean
}

/** What is known of a server from `bytes`, which begin at AuthenticationOk. */
export function splitTrustLogin(bytes: Buffer): TrustLogin {
  const cursor = new ServerCursor()
  const flags = cursor.advance(bytes, bytes.length)
  return {
    seenHotStandby: cursor.hotStandby,
    complete: (flags & (SAW_READY_FOR_QUERY | SAW_ERROR_RESPONSE)) !== 0,
    malformed: (flags & SERVER_MALFORMED) !== 0,
  }
}

function printable(byte: number): string {
  return byte > 0x20 && byte < 0x7f
    ? `"${String.fromCharCode(byte)}"`
    : `0x${byte.toString(16).padStart(2, '0')}`
}

function violation(what: string) {
  return { kind: 'violation', what } as const
}
