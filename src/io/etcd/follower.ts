/**
 * Follows one cluster's prefix in etcd and is never silently stale: either the snapshots are proved
 * against the quorum every second, or `lost` is reported. Goes round the endpoints for ever, one
 * connection at a time; each connection loads anew, so no gap can stay open.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Snapshot } from '../../core/cluster/types.ts'
import { openEndpoint } from './endpoint.ts'
import { EtcdError } from './errors.ts'
import type { EtcdSettings } from './grpc.ts'
import { type Health, openHealthWatch } from './health.ts'
import type { Loaded } from './load.ts'
import { attemptMs, FIRST_TRY, planRetry, retryDelayMs } from './retry.ts'
import { runSession, type SessionEnd, type SessionEvents } from './session.ts'
import { adoptLoad, applyChanges, type Known, noteRevision } from './view.ts'
import type { Change } from './watch.ts'

export type { EtcdSettings } from './grpc.ts'
export type { Known } from './view.ts'

export type FollowerEvents = {
  /**
   * After each load and after each batch of the watch; never changed after hand-over.
   * `receivedAtMs` is when the answer of etcd arrived, by `performance.now()`.
   */
  onSnapshot(snapshot: Snapshot, receivedAtMs: number): void
  /** On change only. First `live`, or `lost` if nothing answers. `sinceMs` is the last proof. */
  onHealth(health: Health): void
}

export type FollowerStats = {
  /** The endpoint in use or being tried. */
  readonly endpoint: string
  readonly health: 'starting' | Health['kind']
  /** Highest revision that a quorum showed; 0 before the first load. */
  readonly revision: number
  /** Loads after the first one. */
  readonly reloads: number
  readonly requests: number
  readonly errors: number
  /** When the last proved request was sent, by `performance.now()`; null before the first. */
  readonly lastProofMs: number | null
}

export type Follower = {
  readonly stats: () => FollowerStats
  /** For a follower that goes on where this one ends; null before the first load. */
  readonly known: () => Known | null
  /** Ends everything; no event comes after it was called. */
  close(): Promise<void>
}

export type FollowerLog = (
  level: 'info' | 'warn',
  what: string,
  detail?: Record<string, unknown>,
) => void

/**
 * Starts following. Events come asynchronously, never within this call. Throws `EtcdError`
 * (settings) without endpoints; every other trouble is reported as health. `before` is what a
 * follower of the same prefix knew: the stores of both are then counted as one sequence.
 */
export function openFollower(
  settings: EtcdSettings,
  prefix: string,
  events: FollowerEvents,
  log: FollowerLog = () => {},
  before: Known | null = null,
): Follower {
  if (settings.endpoints.length === 0) throw new EtcdError('settings', 'no etcd endpoints')
  const stopped = new AbortController()
  const { signal } = stopped
  const count = { requests: 0, errors: 0 }
  const view = createView(events, log, before)
  const health = openHealthWatch((now) => {
    if (now.kind === 'lost') log('warn', 'etcd lost', { why: now.why })
    events.onHealth(now)
  })
  let address = settings.endpoints[0]!
  let servedBy: string | null = null

  const sessionEvents: SessionEvents = {
    onLoaded(loaded, sentAtMs, receivedAtMs) {
      health.proved(sentAtMs)
      view.adopt(loaded, receivedAtMs)
    },
    onWatching() {
      const isNews = health.kind() !== 'live' || servedBy !== address
      servedBy = address
      if (isNews) log('info', 'following etcd', { endpoint: servedBy, revision: view.revision() })
      health.live()
    },
    onChanges: view.apply,
    onProved(sentAtMs, revision) {
      health.proved(sentAtMs)
      health.live() // after a pause of this process the connection may still be good
      view.note(revision)
    },
    known: view.mustKnow,
  }

  const attempt = async (endpoint: string, limitMs: number) => {
    address = endpoint
    const connect = () => openEndpoint(settings, endpoint, count)
    const end = await runSession({ connect, prefix, attemptMs: limitMs, signal }, sessionEvents)
    const why = `${end.error.code} (${endpoint}): ${end.error.message}`
    health.failed(why)
    // Only the end of a connection that worked is news; failed attempts are told by `lost`.
    if (end.proved && !signal.aborted) log('warn', 'etcd connection ended', { endpoint, why })
    return end
  }

  const done = goRound(settings.endpoints, signal, attempt)
  return {
    stats: () => ({
      endpoint: address,
      health: health.kind(),
      revision: view.revision(),
      reloads: view.reloads(),
      ...count,
      lastProofMs: health.lastProofMs(),
    }),
    known: view.known,
    async close() {
      stopped.abort()
      health.close()
      await done
    },
  }
}

/** Tries one endpoint after the other until `signal`; each attempt lasts as long as it works. */
async function goRound(
  endpoints: readonly string[],
  signal: AbortSignal,
  attempt: (endpoint: string, limitMs: number) => Promise<SessionEnd>,
): Promise<void> {
  let retry = FIRST_TRY
  while (!signal.aborted) {
    const limitMs = attemptMs(retry, endpoints.length)
    const end = await attempt(endpoints[retry.endpoint]!, limitMs)
    retry = planRetry(retry, end.error.code, end.proved, endpoints.length)
    await pause(retryDelayMs(retry, endpoints.length, Math.random()), signal)
  }
}

/** Keeps what is known between connections and hands out the snapshots. */
function createView(events: FollowerEvents, log: FollowerLog, before: Known | null) {
  let known = before
  let loads = 0
  const mustKnow = () => {
    if (known === null) throw new Error('bug: asked for a view before the first load')
    return known
  }
  const show = (next: Known, receivedAtMs: number) => {
    known = next
    events.onSnapshot(next.snapshot, receivedAtMs)
  }
  return {
    adopt(loaded: Loaded, receivedAtMs: number) {
      const before = known
      const next = adoptLoad(before, loaded)
      loads += 1
      if (before !== null && next.snapshot.store !== before.snapshot.store)
        log('warn', 'etcd store was replaced', { was: before.highest, now: loaded.revision })
      show(next, receivedAtMs)
    },
    apply: (changes: readonly Change[], receivedAtMs: number) =>
      show(applyChanges(mustKnow(), changes), receivedAtMs),
    note(revision: number) {
      known = noteRevision(mustKnow(), revision)
    },
    known: () => known,
    mustKnow,
    revision: () => known?.highest ?? 0,
    reloads: () => Math.max(0, loads - 1),
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0 || signal.aborted) return
  await sleep(ms, undefined, { signal }).catch(() => {})
}
