/**
 * What the control process and its router workers say to each other: one JSON object a line over the
 * control socket. A worker dials in, so it can outlive a control process and be taken over by the
 * next. A worker that hears nothing keeps serving by its last table.
 */
import type { RouteTable, Target, TroubleKind } from '../routing/types.ts'

export type { TroubleKind }

/** Raised whenever a message changes shape: a worker of another protocol is replaced, not adopted. */
export const FLEET_PROTOCOL = 2

export type SlotKind = 'clients' | 'held'

export type ToWorker =
  /** The router section of the configuration, checked; sent first and after each reload. */
  | { readonly kind: 'settings'; readonly serial: number; readonly settings: WorkerSettings }
  | { readonly kind: 'table'; readonly table: RouteTable }
  /** Answer to `want`: `count` further slots (0: none to be had). */
  | { readonly kind: 'grant'; readonly slot: SlotKind; readonly count: number }
  /** Give back slots that are not in use; answered by `return`. */
  | { readonly kind: 'reclaim'; readonly slot: SlotKind }
  /** Bind the unix sockets of all listeners (only one worker can own a path). */
  | { readonly kind: 'own-unix-sockets' }
  | { readonly kind: 'list-clients'; readonly id: number }
  /** Close the listeners, let sessions end, cut the rest after `graceMs`, then exit. */
  | {
      readonly kind: 'drain'
      readonly graceMs: number
      /** Sessions between transactions: let them end by themselves, or cut them at once. */
      readonly idle?: 'keep' | 'cut'
      readonly words: string
    }

export type FromWorker =
  | {
      readonly kind: 'hello'
      readonly protocol: number
      readonly version: string
      readonly pid: number
      readonly index: number
      /** Slots held when dialling in (a taken-over worker keeps what it uses). */
      readonly slots: Readonly<Record<SlotKind, number>>
      readonly settingsSerial: number
      readonly ownsUnixSockets: boolean
      /** What it serves by, from an earlier control process; null: nothing yet. */
      readonly table: RouteTable | null
    }
  /** All listeners of these settings are bound, or what could not be bound. */
  | {
      readonly kind: 'listening'
      readonly settingsSerial: number
      readonly faults: readonly { readonly listener: string; readonly what: string }[]
    }
  | { readonly kind: 'switched'; readonly serial: number; readonly cut: number }
  | { readonly kind: 'want'; readonly slot: SlotKind; readonly count: number }
  | { readonly kind: 'return'; readonly slot: SlotKind; readonly count: number }
  /** A backend did not behave as its route promises; wakes a check. */
  | { readonly kind: 'trouble'; readonly member: string; readonly what: TroubleKind }
  | { readonly kind: 'stats'; readonly stats: WorkerStats }
  | { readonly kind: 'clients'; readonly id: number; readonly clients: readonly ClientInfo[] }
  | { readonly kind: 'event'; readonly name: string; readonly data: Record<string, unknown> }

export type WorkerSettings = {
  readonly listeners: readonly WorkerListener[]
  readonly hold: { readonly timeoutMs: number; readonly maxClients: number }
  readonly limits: {
    readonly maxClients: number
    readonly loginTimeoutMs: number
    readonly connectTimeoutMs: number
    /** Connection attempts towards one backend at the same time, while clients wait in line. */
    readonly connectWindow: number
  }
  readonly keepalive: { readonly idleMs: number }
  readonly clientTls: ClientTls | null
  readonly serverTls: ServerTls
  readonly shutdownGraceMs: number
}

export type WorkerListener = {
  readonly name: string
  readonly addresses: readonly ListenAddress[]
  readonly target: Target
  readonly mode: 'tunnel'
  /** CIDR blocks or addresses (`unix` for unix sockets) that must speak the PROXY protocol. */
  readonly proxyProtocolFrom: readonly string[]
}

export type ListenAddress =
  | {
      readonly kind: 'tcp'
      readonly host: string
      readonly port: number
      readonly ipv6Only: boolean
    }
  | { readonly kind: 'unix'; readonly path: string }

/** PEM texts, not paths: the control process reads the files, so one bad reload changes nothing. */
export type ClientTls = {
  readonly mode: 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'
  readonly cert: string
  readonly key: string
  readonly ca: string | null
}
export type ServerTls = {
  readonly mode: 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
}

/** How a connection ended: a closed set, used in the log line and as metric label. */
export const END_REASONS = [
  'client-closed',
  'server-closed',
  'client-error',
  'server-error',
  'client-left-while-waiting',
  'login-timeout',
  'hold-timeout',
  'too-many-clients',
  'too-many-waiting',
  'protocol-violation',
  'tls-failed',
  'tls-required',
  'rejected-by-server',
  'primary-changed',
  'hot-standby',
  'cancel-request',
  'said-nothing',
  'draining',
  'bug',
] as const
export type EndReason = (typeof END_REASONS)[number]

/** Counters since the worker started, gauges now. Times in ms, sizes in bytes. */
export type WorkerStats = {
  readonly listeners: Readonly<
    Record<
      string,
      {
        readonly accepted: number
        readonly current: number
        readonly held: number
        readonly bytesIn: number
        readonly bytesOut: number
        readonly ended: Readonly<Partial<Record<EndReason, number>>>
        /** Cumulative histogram counts of hold times by upper bound in `HOLD_BUCKETS_MS`. */
        readonly holdBuckets: readonly number[]
        readonly holdSumMs: number
        readonly holdCount: number
      }
    >
  >
  readonly backends: Readonly<Record<string, { readonly current: number; readonly failed: number }>>
  readonly eventLoopDelayMs: { readonly p50: number; readonly p99: number; readonly max: number }
  readonly rssBytes: number
  readonly cpuUs: number
}
export const HOLD_BUCKETS_MS = [1, 5, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000]

export type ClientInfo = {
  readonly id: string
  readonly listener: string
  readonly client: string
  readonly user: string | null
  readonly database: string | null
  readonly application: string | null
  readonly target: Target
  readonly state: 'startup' | 'held' | 'connecting' | 'established' | 'closing'
  readonly backend: string | null
  /** From the server's last ReadyForQuery; null when it can't be seen (TLS passed through). */
  readonly transaction: 'idle' | 'active' | 'in-transaction' | 'failed' | null
  readonly sinceMs: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly tls: 'none' | 'ended-here' | 'passed-through'
}
