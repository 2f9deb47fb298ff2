/** What a routing step is told. Times are the control process's clock: Unix ms that never jump. */
import type { ClusterView } from '../cluster/types.ts'
import type { ListenerPolicy, TroubleKind } from './types.ts'

/** What a member's own REST API said. `atMs` is when it was asked, not when it answered. */
export type Sighting = {
  readonly member: string
  readonly atMs: number
  readonly answer: Answer
}

export type Answer =
  /** PostgreSQL runs and is out of recovery; `holdsLock` is null when only `/patroni` was asked. */
  | { readonly kind: 'primary'; readonly holdsLock: boolean | null }
  /** PostgreSQL runs and is in recovery. */
  | { readonly kind: 'standby' }
  /** The API answered; PostgreSQL is starting, stopped, ... */
  | { readonly kind: 'not-running'; readonly state: string }
  /** The API did not answer in time. */
  | { readonly kind: 'unreachable'; readonly why: string }

/** A backend did not behave as its route promised. `atMs` is when that was seen. */
export type Trouble = {
  readonly member: string
  readonly what: TroubleKind
  readonly atMs: number
}

export type EtcdHealth =
  | { readonly kind: 'live' }
  | { readonly kind: 'lost'; readonly sinceMs: number; readonly why: string }

export type RoutingInput = {
  readonly nowMs: number
  /** The newest view there is, new or not; null before the first. */
  readonly view: ClusterView | null
  readonly etcd: EtcdHealth
  /** New since the last step. */
  readonly sightings: readonly Sighting[]
  /** New since the last step. */
  readonly troubles: readonly Trouble[]
  readonly policies: readonly ListenerPolicy[]
}
