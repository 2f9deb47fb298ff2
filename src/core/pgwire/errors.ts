/**
 * What clients are told when the router speaks for itself, and reading what a server says. The
 * texts begin as the design fixes them; drivers and operators search for these words.
 */
import { frame } from './messages.ts'

export const SQLSTATE = {
  connectionFailure: '08006',
  protocolViolation: '08P01',
  invalidAuthorization: '28000',
  invalidParameterValue: '22023',
  tooManyConnections: '53300',
  queryCanceled: '57014',
  adminShutdown: '57P01',
  crashShutdown: '57P02',
  cannotConnectNow: '57P03',
  internalError: 'XX000',
} as const

/** Longest error text sent, so that words made from someone's input stay bounded. */
export const ERROR_TEXT_CHARS_MAX = 1000

export type ErrorExtra = { readonly detail?: string; readonly hint?: string }

/** What became of the work a client had running when its server was lost. */
export type LostWork = 'none' | 'rolled-back' | 'unknown'

/** An ErrorResponse of severity FATAL: the connection is closed after it. */
export function fatalError(sqlstate: string, text: string, extra: ErrorExtra = {}): Buffer {
  return errorResponse('FATAL', sqlstate, text, extra)
}

/** An ErrorResponse with S, V, C, M and, where given, D and H. NULs in texts are left out. */
export function errorResponse(
  severity: 'ERROR' | 'FATAL' | 'PANIC',
  sqlstate: string,
  text: string,
  extra: ErrorExtra = {},
): Buffer {
  const fields = [
    `S${severity}`,
    `V${severity}`,
    `C${sqlstate}`,
    `M${text.slice(0, ERROR_TEXT_CHARS_MAX)}`,
  ]
  if (extra.detail !== undefined) fields.push(`D${extra.detail.slice(0, ERROR_TEXT_CHARS_MAX)}`)
  if (extra.hint !== undefined) fields.push(`H${extra.hint.slice(0, ERROR_TEXT_CHARS_MAX)}`)
  const payload = fields.map((field) => `${field.replaceAll('\0', '')}\0`).join('')
  return frame('E', Buffer.from(`${payload}\0`))
}

/** `words`: why the route is held, as in `HeldRoute.words`. */
export function noPrimary(words: string): Buffer {
  return noServer('primary', words)
}

/** As `noPrimary` for a listener of another target, for example `no replica available`. */
export function noServer(target: string, words: string): Buffer {
  return fatalError(SQLSTATE.cannotConnectNow, `no ${target} available: ${words}`)
}

export function primaryChanged(): Buffer {
  return fatalError(SQLSTATE.adminShutdown, 'terminating connection because the primary changed', {
    hint: 'Connect again to reach the new primary.',
  })
}

/** `words` says too many of what, for example `clients already` or `clients wait for a primary`. */
export function tooMany(words: string): Buffer {
  return fatalError(SQLSTATE.tooManyConnections, `too many ${words}`)
}

export function loginTimeout(): Buffer {
  return fatalError(SQLSTATE.queryCanceled, 'canceling login due to timeout')
}

export function protocolViolation(what: string): Buffer {
  return fatalError(SQLSTATE.protocolViolation, `protocol violation: ${what}`)
}

const LOST_WORK: { readonly [W in LostWork]: string } = {
  none: 'nothing was running',
  'rolled-back': 'the open transaction was rolled back',
  unknown: 'the outcome of the last statement is unknown',
}

export function serverLost(work: LostWork): Buffer {
  return fatalError(SQLSTATE.connectionFailure, `server connection lost: ${LOST_WORK[work]}`)
}

/** The listener takes only encrypted connections and this client asked for none. */
export function tlsRequired(): Buffer {
  return fatalError(SQLSTATE.invalidAuthorization, 'connection requires TLS')
}

/** A value of `pgsteer.target` that is no target, or not one this listener can be narrowed to. */
export function badTarget(value: string, accepted: readonly string[]): Buffer {
  return fatalError(
    SQLSTATE.invalidParameterValue,
    `invalid value for parameter "pgsteer.target": "${value}"`,
    { hint: `Accepted values: ${accepted.join(', ')}.` },
  )
}

/** The router is being stopped and the session did not end in the time given. */
export function routerStopping(): Buffer {
  return fatalError(
    SQLSTATE.adminShutdown,
    'terminating connection because the router is shutting down',
  )
}

export type ServerError = {
  /** Never translated where the server sends it so (field V, since PostgreSQL 9.6). */
  readonly severity: string
  readonly sqlstate: string
  readonly message: string
}

/** Reads the payload of an ErrorResponse or NoticeResponse; missing fields are empty. */
export function readError(payload: Buffer): ServerError {
  const fields = new Map<number, string>()
  let at = 0
  while (at < payload.length && payload[at] !== 0) {
    const end = payload.indexOf(0, at + 1)
    const stop = end < 0 ? payload.length : end
    fields.set(payload[at]!, payload.toString('utf8', at + 1, stop))
    at = stop + 1
  }
  const field = (letter: string) => fields.get(letter.charCodeAt(0))
  return {
    severity: field('V') ?? field('S') ?? '',
    sqlstate: field('C') ?? '',
    message: field('M') ?? '',
  }
}
