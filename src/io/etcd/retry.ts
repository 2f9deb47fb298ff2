/** Which endpoint next, how long to wait before it and how long to wait for it. Pure. */
import type { EtcdFault } from './errors.ts'

const DELAY_MS_MIN = 50
const DELAY_MS_MAX = 1000
/** The first round is impatient, so that one endpoint that swallows packets costs little. */
const ATTEMPT_MS_MIN = 700
const ATTEMPT_MS_MAX = 4000

/** After these the same endpoint is asked again: it works, only our state is out of date. */
const STAY: ReadonlySet<EtcdFault> = new Set(['compacted', 'store-changed', 'token-expired'])

export type Retry = {
  readonly endpoint: number
  /** Failures since an endpoint last proved itself beyond its first answer. */
  readonly failures: number
}

export const FIRST_TRY: Retry = { endpoint: 0, failures: 0 }

/** The next try after one ended by `fault`; `proved` if it had worked until then. */
export function planRetry(
  last: Retry,
  fault: EtcdFault,
  proved: boolean,
  endpoints: number,
): Retry {
  return {
    endpoint: STAY.has(fault) ? last.endpoint : (last.endpoint + 1) % endpoints,
    failures: proved ? 1 : last.failures + 1,
  }
}

/**
 * Milliseconds before this try. None within a round, so that a lost endpoint is replaced at once;
 * then 50 ms to 1 s per round, with `random` (0 to 1) taking off up to a half. A single endpoint
 * that worked until now is also tried again at once.
 */
export function retryDelayMs(retry: Retry, endpoints: number, random: number): number {
  const rounds = Math.floor(retry.failures / Math.max(endpoints, 2))
  if (rounds === 0 || (endpoints > 1 && retry.failures % endpoints !== 0)) return 0
  const delayMs = Math.min(DELAY_MS_MIN * 2 ** (rounds - 1), DELAY_MS_MAX)
  return delayMs * (1 - random / 2)
}

/** Milliseconds for the first answer (connection, TLS, login and read) of this try. */
export function attemptMs(retry: Retry, endpoints: number): number {
  const rounds = Math.floor(retry.failures / endpoints)
  return Math.min(ATTEMPT_MS_MIN * 2 ** rounds, ATTEMPT_MS_MAX)
}
