/**
 * What a router needs to know to send a client somewhere. Plain, JSON-safe data: the control process
 * builds it, every worker gets the whole table and keeps the last one.
 */
import type { Term } from '../cluster/types.ts'

export type Target = 'primary' | 'replica' | 'sync' | 'any'
export const TARGETS = ['primary', 'replica', 'sync', 'any'] as const satisfies readonly Target[]

export type Balance = 'leastconn' | 'roundrobin' | 'random'

/** How a listener wants its clients routed; a slice of the configuration. */
export type ListenerPolicy = {
  readonly name: string
  readonly target: Target
  /** Where to go when no replica qualifies. */
  readonly fallback: 'primary' | null
  readonly balance: Balance
  readonly maxLagBytes: number | null
}

/** A PostgreSQL to connect to. `role` is what it is known to be now, never a guess. */
export type Backend = {
  readonly member: string
  readonly host: string
  readonly port: number
  readonly role: 'primary' | 'replica'
}

/** Why a route is held: a closed set, used as log word and metric label. */
export type HoldCause =
  | 'cluster-unknown'
  | 'no-leader'
  | 'leader-not-a-member'
  | 'leader-not-out-of-recovery'
  | 'leader-unreachable'
  | 'leader-unproven-while-stale'
  | 'switchover-requested'
  | 'standby-cluster'
  | 'no-replica'
  | 'no-sync-standby'
  | 'no-member'
  /** Made while tables are sent out: sessions on the primary before are still being let go. */
  | 'primary-changing'

export type OpenRoute = {
  readonly kind: 'open'
  readonly backends: readonly [Backend, ...Backend[]]
  readonly balance: Balance
}
export type HeldRoute = {
  readonly kind: 'held'
  readonly cause: HoldCause
  /** The same for people: one sentence, with names. */
  readonly words: string
}
export type Route = OpenRoute | HeldRoute

export type ListenerRoutes = { readonly [T in Target]: Route }

export type Address = { readonly host: string; readonly port: number }

/**
 * Where sessions opened on a primary may stay: at the addresses this member had in its newest term. A
 * namesake at another address is another server. Null: no address is known, so any may be right.
 */
export type Keeper = { readonly member: string; readonly addresses: readonly Address[] | null }

/**
 * A session opened on a primary stays only with those in `primary` (null: not known, touch nothing).
 * One opened on a replica stays unless its member is in `replicaNot`: a replica that left the view
 * may still serve its readers, one that leads now must not turn a reader into a writer.
 */
export type Keep = {
  readonly primary: readonly Keeper[] | null
  readonly replicaNot: readonly string[]
}

/** What a worker saw go wrong with a backend: a closed set. */
export type TroubleKind =
  | 'refused'
  | 'reset'
  | 'connect-timeout'
  | 'starting-up'
  | 'in-hot-standby'
  | 'closed-before-answer'
  /** An established session ended by the server without a reason given. */
  | 'session-lost'

/**
 * Whose word counts when etcd can't be asked, so that also a control process that has read nothing
 * yet can ask: `GET /primary` of the last leader, and how long its sessions stay if it is silent.
 */
export type Witness = {
  readonly member: string
  readonly apiUrl: string | null
  readonly ttlMs: number
}

export type RouteTable = {
  /** Counts the tables of one control process; for acknowledgements and logs. */
  readonly serial: number
  readonly term: Term | null
  readonly leader: string | null
  /** etcd can't be asked just now: the table may be old. */
  readonly stale: boolean
  /** Which established sessions may stay; ask `mustCut`. */
  readonly keep: Keep
  /** Null while nobody is known to have led. */
  readonly witness: Witness | null
  /** Every member that can be dialled: where a cancel request may have to go. */
  readonly members: readonly Backend[]
  readonly listeners: Readonly<Record<string, ListenerRoutes>>
}
