/**
 * What can go wrong with etcd, as a closed set. Made only in this folder; nothing here decides what
 * to do about a fault beyond saying whether trying again can help by itself (`retryable`).
 */

export type EtcdFault =
  /** Refused, reset, name not resolved, TLS handshake failed. */
  | 'unreachable'
  /** No answer before the deadline: a silent peer, or a member without quorum. */
  | 'timeout'
  /** etcd answered that it cannot serve now (no leader, leader changed, stopping). */
  | 'unavailable'
  /** User name or password refused. */
  | 'login-refused'
  /** The token is no longer known to the server: log in again. */
  | 'token-expired'
  | 'permission-denied'
  /** The revision asked for is gone: load again. */
  | 'compacted'
  /** The store is not the one read before (wiped, restored, another cluster): load again. */
  | 'store-changed'
  | 'watch-ended'
  /** The store shows a change that the watch did not deliver in time. */
  | 'watch-behind'
  /** More keys or bytes than the named limits. */
  | 'too-large'
  /** An answer that makes no sense. */
  | 'protocol'
  /** The settings cannot work: bad PEM, bad address. */
  | 'settings'
  /** We closed it ourselves. */
  | 'closed'

const HOPELESS: ReadonlySet<EtcdFault> = new Set([
  'login-refused',
  'permission-denied',
  'too-large',
  'settings',
  'closed',
])

/** A fault of etcd or on the way to it. `retryable` false: an operator has to change something. */
export class EtcdError extends Error {
  override readonly name: string = 'EtcdError'
  readonly code: EtcdFault
  readonly retryable: boolean

  constructor(code: EtcdFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause })
    this.code = code
    this.retryable = !HOPELESS.has(code)
  }
}

/** An answer older than the history etcd still keeps; `compactRevision` is the oldest kept. */
export class CompactedError extends EtcdError {
  override readonly name = 'CompactedError'
  readonly compactRevision: number

  constructor(compactRevision: number) {
    super('compacted', `revision compacted, oldest kept is ${compactRevision}`)
    this.compactRevision = compactRevision
  }
}

/** gRPC status codes that etcd uses (grpc.github.io, "Status codes and their use in gRPC"). */
const STATUS = {
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unavailable: 14,
  unauthenticated: 16,
} as const

/** Texts of etcd 3.4 to 3.6 (`rpctypes/error.go`) that a status code alone does not tell apart. */
const BY_TEXT: readonly (readonly [text: string, code: EtcdFault])[] = [
  ['invalid auth token', 'token-expired'],
  ['revision of auth store is old', 'token-expired'],
  ['user name is empty', 'token-expired'],
  ['authentication failed, invalid user ID or password', 'login-refused'],
  ['required revision has been compacted', 'compacted'],
  ['required revision is a future revision', 'store-changed'],
  ['permission denied', 'permission-denied'],
  ['No connection established', 'unreachable'],
]

const BY_STATUS: ReadonlyMap<number, EtcdFault> = new Map<number, EtcdFault>([
  [STATUS.cancelled, 'closed'],
  [STATUS.deadlineExceeded, 'timeout'],
  [STATUS.permissionDenied, 'permission-denied'],
  [STATUS.resourceExhausted, 'too-large'],
  [STATUS.unauthenticated, 'token-expired'],
])

/** Turns whatever a gRPC call threw into an `EtcdError`; one that already is passes through. */
export function toEtcdError(thrown: unknown, doing: string): EtcdError {
  if (thrown instanceof EtcdError) return thrown
  const status = statusOf(thrown)
  const text = thrown instanceof Error ? thrown.message : String(thrown)
  return new EtcdError(faultOf(status, text), `${doing}: ${text}`, thrown)
}

/** True when etcd says that it runs without authentication (`authenticate` then makes no sense). */
export function isAuthOff(thrown: unknown): boolean {
  return thrown instanceof EtcdError && thrown.message.includes('authentication is not enabled')
}

function faultOf(status: number | null, text: string): EtcdFault {
  for (const [part, code] of BY_TEXT) if (text.includes(part)) return code
  if (status === null) return 'protocol'
  if (status === STATUS.unavailable)
    return text.includes('etcdserver') ? 'unavailable' : 'unreachable'
  return BY_STATUS.get(status) ?? 'protocol'
}

function statusOf(thrown: unknown): number | null {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return null
  return typeof thrown.code === 'number' ? thrown.code : null
}
