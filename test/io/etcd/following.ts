/** A follower under test with everything it said, and waits with limits. */
import type { Snapshot } from '../../../src/core/cluster/types.ts'
import { type EtcdSettings, type Follower, openFollower } from '../../../src/io/etcd/follower.ts'
import type { Health } from '../../../src/io/etcd/health.ts'
import { waitUntil } from '../../rig/etcd.ts'

export const PREFIX = '/service/demo/'

export type Shown = { readonly snapshot: Snapshot; readonly receivedAtMs: number }

export type Following = {
  readonly follower: Follower
  readonly snapshots: Shown[]
  readonly healths: (Health & { readonly atMs: number })[]
  readonly logs: string[]
  /** `key=value` of the newest snapshot, sorted. */
  shown(): string
  /** Waits until the newest snapshot shows exactly this. */
  shows(expected: string, limitMs?: number): Promise<void>
  /** Resolves with the next snapshot. */
  next(): Promise<Shown>
  live(limitMs?: number): Promise<void>
  lost(limitMs?: number): Promise<void>
}

export function plainSettings(endpoints: readonly string[]): EtcdSettings {
  return {
    endpoints,
    protocol: 'http',
    username: null,
    password: null,
    ca: null,
    cert: null,
    key: null,
  }
}

export function follow(settings: EtcdSettings, prefix = PREFIX): Following {
  const snapshots: Following['snapshots'] = []
  const healths: Following['healths'] = []
  const logs: string[] = []
  let news = Promise.withResolvers<Shown>()
  const follower = openFollower(
    settings,
    prefix,
    {
      onSnapshot(snapshot, receivedAtMs) {
        snapshots.push({ snapshot, receivedAtMs })
        news.resolve({ snapshot, receivedAtMs })
        news = Promise.withResolvers()
      },
      onHealth: (health) => healths.push({ ...health, atMs: performance.now() }),
    },
    (level, what, detail) => logs.push(`${level} ${what} ${JSON.stringify(detail)}`),
  )
  const shown = () => {
    const entries = [...(snapshots.at(-1)?.snapshot.entries.values() ?? [])]
    return entries
      .map(({ key, value }) => `${key}=${value}`)
      .sort()
      .join(' ')
  }
  const become = (kind: 'live' | 'lost', limitMs: number) =>
    waitUntil(() => follower.stats().health === kind, `follower is not ${kind}`, limitMs)
  return {
    follower,
    snapshots,
    healths,
    logs,
    shown,
    shows: (expected, limitMs = 5000) =>
      waitUntil(() => shown() === expected, `view is not '${expected}'`, limitMs).catch((error) => {
        throw new Error(`${error.message}, it is '${shown()}'; ${logs.join('; ')}`)
      }),
    next: () => news.promise,
    live: (limitMs = 5000) => become('live', limitMs),
    lost: (limitMs = 8000) => become('lost', limitMs),
  }
}
