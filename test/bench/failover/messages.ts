/** What the bench and its fleets say to each other over the process channel. */
import type { Ack, Instant } from '../kit/gaps.ts'

export type FleetPlan = {
  readonly fleet: string
  readonly url: string
  readonly writers: number
  /** Pause of a writer between two writes. */
  readonly paceMs: number
  /** Pause of the prober between two new connections. */
  readonly probeMs: number
}

export type ToFleet =
  | { readonly kind: 'start'; readonly plan: FleetPlan }
  /** Answered by `report`: all since the last report. */
  | { readonly kind: 'collect' }
  | { readonly kind: 'stop' }

export type FromFleet =
  | { readonly kind: 'ready' }
  | { readonly kind: 'report'; readonly report: FleetReport }

export type FleetFault = {
  readonly atMs: Instant
  readonly by: 'writer' | 'prober'
  /** While connecting, in a statement, or between two statements. */
  readonly phase: 'connect' | 'statement' | 'idle'
  /** SQLSTATE, or the operating system's word, or `closed`. */
  readonly what: string
}

/** `id` names the row: unique in its fleet. */
export type FleetAck = Ack & { readonly id: number }

export type Probe = { readonly startMs: Instant; readonly tookMs: number }

export type FleetReport = {
  readonly acks: readonly FleetAck[]
  readonly faults: readonly FleetFault[]
  /** New connections that wrote a row and left. */
  readonly probes: readonly Probe[]
}
