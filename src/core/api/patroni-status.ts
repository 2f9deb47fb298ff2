/**
 * Reads what a member answers on `GET /patroni` and `GET /primary`. The two differ: `/patroni`
 * reports the real state of PostgreSQL, the status code of `/primary` only whether the member
 * believes it holds the leader lock. Garbage is `unreachable`, never a guess.
 */

export type MemberAnswer =
  /** Out of recovery. `holdsLock` is null when the question was not about the lock. */
  | { readonly kind: 'primary'; readonly holdsLock: boolean | null }
  | { readonly kind: 'standby' }
  | { readonly kind: 'not-running'; readonly state: string }
  | { readonly kind: 'unreachable'; readonly why: string }

export type CheckPath = '/patroni' | '/primary'

const OK = 200
const SERVICE_UNAVAILABLE = 503
const STATE_LENGTH_MAX = 64
const PRIMARY_ROLES: readonly unknown[] = ['primary', 'master']

/**
 * Interprets one answer. `body` is the text as received, at most what the client's limit lets pass.
 * A primary has a non-zero `xlog.location` and no `received_location`: Patroni before and after 4.0
 * agree on that, whatever `role` says, and it comes from a query just made. `state` is what the agent
 * last thought: it may say `starting` for a second after PostgreSQL has started.
 */
export function readPatroniStatus(path: CheckPath, status: number, body: string): MemberAnswer {
  if (status !== OK && status !== SERVICE_UNAVAILABLE) return unreachable(`answered ${status}`)
  const fields = parseObject(body)
  if (fields === null) return unreachable('the answer is not a JSON object')
  const state = fields['state']
  if (typeof state !== 'string') return unreachable('the answer has no state')
  const holdsLock = path === '/primary' ? status === OK : null
  const position = fields['xlog'] ?? fields['wal']
  if (state === 'running' || (state === 'starting' && isObject(position))) {
    return readPosition(position, fields['role'], holdsLock)
  }
  return { kind: 'not-running', state: state.slice(0, STATE_LENGTH_MAX) }
}

function readPosition(xlog: unknown, role: unknown, holdsLock: boolean | null): MemberAnswer {
  if (!isObject(xlog)) return { kind: 'not-running', state: 'running without a WAL position' }
  if ('received_location' in xlog || 'replayed_location' in xlog) return { kind: 'standby' }
  const location = xlog['location']
  if (typeof location === 'number' && location > 0) return { kind: 'primary', holdsLock }
  return PRIMARY_ROLES.includes(role)
    ? { kind: 'not-running', state: 'running without a WAL position' }
    : { kind: 'standby' }
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function unreachable(why: string): MemberAnswer {
  return { kind: 'unreachable', why }
}
