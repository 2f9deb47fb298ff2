/** The follower of the cluster's keys, replaced when a reload changes how to reach etcd. */
import type { Snapshot } from '../../core/cluster/types.ts'
import type { EtcdHealth } from '../../core/routing/decide.ts'
import { fromPerformance } from '../../io/clock/clock.ts'
import {
  type EtcdSettings,
  type Follower,
  type FollowerLog,
  type Known,
  openFollower,
} from '../../io/etcd/follower.ts'
import type { Log } from '../../io/telemetry/log.ts'

export type EtcdLinkPorts = {
  readonly log: Log
  onSnapshot(snapshot: Snapshot, receivedAtMs: number): void
  onHealth(health: EtcdHealth): void
}

/** The follower's word for a lost etcd: what that means for routes is logged, and once is enough. */
const SAID_BY_DECISION = 'etcd lost'

export class EtcdLink {
  readonly #ports: EtcdLinkPorts
  readonly #prefix: string
  #settings: EtcdSettings
  #follower: Follower
  #health: EtcdHealth | null = null

  constructor(settings: EtcdSettings, prefix: string, ports: EtcdLinkPorts) {
    this.#ports = ports
    this.#prefix = prefix
    this.#settings = settings
    this.#follower = this.#open(null)
  }

  /** Null before the first word. */
  get health(): EtcdHealth | null {
    return this.#health
  }

  get endpoint(): string {
    return this.#follower.stats().endpoint
  }

  get revision(): number {
    return this.#follower.stats().revision
  }

  /** Answers whether anything changed; the known view stays until the new one is loaded. */
  reopen(settings: EtcdSettings): boolean {
    if (JSON.stringify(settings) === JSON.stringify(this.#settings)) return false
    this.#settings = settings
    // Revisions of another etcd compare with nothing: the new follower has to see that it is one.
    const before = this.#follower.known()
    void this.#follower.close()
    this.#follower = this.#open(before)
    return true
  }

  close(): Promise<void> {
    return this.#follower.close()
  }

  #open(before: Known | null): Follower {
    const { log, onSnapshot, onHealth } = this.#ports
    const events = {
      onSnapshot: (snapshot: Snapshot, ms: number) => onSnapshot(snapshot, fromPerformance(ms)),
      onHealth: (health: EtcdHealth) => {
        const { kind } = health
        const known =
          kind === 'live' ? health : { ...health, sinceMs: fromPerformance(health.sinceMs) }
        this.#health = known
        onHealth(known)
      },
    }
    const tell: FollowerLog = (level, what, detail) =>
      log[what === SAID_BY_DECISION ? 'debug' : level](detail ?? {}, what)
    return openFollower(this.#settings, this.#prefix, events, tell, before)
  }
}
