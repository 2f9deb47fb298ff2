/**
 * The nouns of a cluster as etcd shows it. Plain data: built by `buildView`, read by everyone.
 * Positions are byte positions in the WAL as numbers (exact up to 2^53, that is 8 PiB of WAL).
 */

/**
 * Orders leaderships: `store` first, then `created`, then `changed`; see `compareTerms`.
 * `store` counts how often this process saw etcd's revisions go backwards (a wiped or restored
 * store), `created` and `changed` are the create and mod revision of the leader key. A lease change
 * re-puts the key with the same holder: only a change of holder makes a newer term.
 */
export type Term = {
  readonly store: number
  readonly created: number
  readonly changed: number
}

export type LeaderKey = { readonly member: string; readonly term: Term }

/** Roles as peers publish them, with the old spelling `master` read as `primary`. */
export type MemberRole =
  | 'primary'
  | 'replica'
  | 'standby_leader'
  | 'promoted'
  | 'demoted'
  | 'uninitialized'
  | 'unknown'

export type TagValue = string | number | boolean

export type Member = {
  readonly name: string
  readonly host: string
  readonly port: number
  /** `http(s)://host:port`, without path; null if the member published none. */
  readonly apiUrl: string | null
  readonly state: string
  readonly role: MemberRole
  readonly version: string | null
  readonly timeline: number | null
  /** Last WAL position the member published (`xlog_location`); null when unknown. */
  readonly position: number | null
  readonly received: number | null
  readonly replayed: number | null
  readonly replicationState: string | null
  readonly tags: Readonly<Record<string, TagValue>>
  readonly paused: boolean
  readonly pendingRestart: boolean
  /** etcd revision of the last change of the member key. */
  readonly changed: number
}

export type SyncState = {
  readonly leader: string
  readonly standbys: readonly string[]
  readonly quorum: number
}

/** A wish for another leader (`failover` key); `leader` set means switchover. */
export type FailoverRequest = {
  readonly leader: string | null
  readonly candidate: string | null
  readonly scheduledAtMs: number | null
  readonly changed: number
}

/** The parts of the dynamic configuration that routing needs, plus the whole for display. */
export type DynamicConfig = {
  readonly ttlMs: number
  readonly loopWaitMs: number
  readonly paused: boolean
  readonly synchronous: 'off' | 'on' | 'quorum'
  readonly failsafe: boolean
  readonly standbyCluster: boolean
  readonly raw: Readonly<Record<string, unknown>>
}

/** A value that could not be read: which key, and what is wrong with it. */
export type ViewFault = { readonly key: string; readonly what: string }

export type ClusterView = {
  readonly store: number
  /** etcd revision this view shows. */
  readonly revision: number
  readonly systemId: string | null
  readonly leader: LeaderKey | null
  /** Sorted by name. */
  readonly members: readonly Member[]
  /** The leader's last published WAL position (`status`, else `optime/leader`). */
  readonly leaderPosition: number | null
  readonly sync: SyncState | null
  readonly failover: FailoverRequest | null
  readonly config: DynamicConfig
  readonly faults: readonly ViewFault[]
}

/** One etcd key as read; `key` is relative to `/<namespace>/<scope>/`. */
export type KeyValue = {
  readonly key: string
  readonly value: string
  readonly createRevision: number
  readonly modRevision: number
  readonly lease: string
}

/** Everything under the prefix at one revision. */
export type Snapshot = {
  readonly store: number
  readonly revision: number
  readonly entries: ReadonlyMap<string, KeyValue>
}
