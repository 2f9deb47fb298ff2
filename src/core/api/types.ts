/**
 * The picture of a router that REST, metrics and commands are made from: plain data, gathered by the
 * control process at the moment of the question. Times in ms since 1970 unless named otherwise.
 */
import type { ClusterView } from '../cluster/types.ts'
import type { WorkerListener } from '../fleet/messages.ts'
import type { RouteTable } from '../routing/types.ts'
import type { FleetTotals } from './fleet-totals.ts'

export type RingedEvent = {
  readonly id: string
  readonly at: string
  readonly kind: string
  readonly data: Readonly<Record<string, unknown>>
}

export type EtcdPicture =
  | { readonly state: 'live'; readonly endpoint: string | null }
  | { readonly state: 'lost'; readonly sinceMs: number; readonly why: string }

export type Delay = { readonly p50: number; readonly p99: number; readonly max: number }

export type ProcessPicture = {
  readonly pid: number
  readonly rssBytes: number
  readonly cpuUs: number
  readonly eventLoopDelayMs: Delay
}

export type WorkerPicture = {
  readonly index: number
  readonly pid: number
  readonly version: string
  readonly state: 'awaited' | 'starting' | 'serving' | 'outdated' | 'leaving' | 'killed'
  readonly connected: boolean
  readonly listening: boolean
  readonly ageMs: number
  /** What it could not bind. */
  readonly faults: readonly { readonly listener: string; readonly what: string }[]
  readonly process: ProcessPicture | null
}

export type RouterPicture = {
  readonly nowMs: number
  readonly startedAtMs: number
  readonly name: string
  readonly scope: string
  readonly version: string
  readonly etcd: EtcdPicture
  readonly view: ClusterView | null
  readonly table: RouteTable | null
  readonly listeners: readonly WorkerListener[]
  readonly workersWanted: number
  readonly workers: readonly WorkerPicture[]
  readonly control: ProcessPicture
  readonly totals: FleetTotals
  readonly workerRestarts: number
}
