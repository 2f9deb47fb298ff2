/** What one failover did to one fleet; pure. */
import { countBy } from '../kit/faults.ts'
import {
  firstWrites,
  gapsByWriter,
  type Instant,
  longestGap,
  lostWrites,
  writesOnDeposed,
} from '../kit/gaps.ts'
import type { FleetReport } from './messages.ts'
import type { Turn } from './observer.ts'

export type Event = {
  readonly kind: string
  readonly round: number
  /** Calm before, and calm again. */
  readonly fromMs: Instant
  readonly triggeredMs: Instant
  readonly toMs: Instant
  readonly writable: Turn
}

export type Counts = readonly (readonly [string, number])[]

export type Outcome = {
  readonly kind: string
  readonly round: number
  readonly fleet: string
  readonly acknowledged: number
  /** From the blow to the new primary being out of recovery: PostgreSQL's and Patroni's part. */
  readonly electionMs: number
  /** The primary was writable at most this much before it was seen to be. */
  readonly unsureMs: number
  readonly gapMs: number
  readonly writerGapsMs: readonly number[]
  /** From the primary being writable to the fleet's first acknowledged write; null: none. */
  readonly firstWriteMs: number | null
  readonly writerBackMs: readonly number[]
  /** `phase class`, of the writers. */
  readonly faults: Counts
  readonly proberFaults: Counts
  readonly proberWorstMs: number | null
  readonly lost: number
  readonly onDeposed: number
}

/** `present`: ids of this fleet that are on the new primary when all is healthy again. */
export function judgeFleet(
  fleet: string,
  writers: number,
  event: Event,
  report: FleetReport,
  present: ReadonlySet<number>,
): Outcome {
  const { fromMs, toMs, writable } = event
  const { acks, faults, probes } = report
  const ofWriters = acks.filter(({ writer }) => writer < writers)
  const { firstMs, byWriterMs } = firstWrites(ofWriters, writers, writable)
  const faultsOf = (who: 'writer' | 'prober') =>
    countBy(faults.filter(({ by }) => by === who).map(({ phase, what }) => `${phase} ${what}`))
  const ackInstants = ofWriters.map(({ ackMs }) => ackMs)
  return {
    kind: event.kind,
    round: event.round,
    fleet,
    acknowledged: acks.length,
    electionMs: writable.atMs - event.triggeredMs,
    unsureMs: writable.atMs - writable.notBeforeMs,
    gapMs: longestGap(ackInstants, fromMs, toMs),
    writerGapsMs: gapsByWriter(ofWriters, writers, fromMs, toMs),
    firstWriteMs: firstMs,
    writerBackMs: byWriterMs,
    faults: faultsOf('writer'),
    proberFaults: faultsOf('prober'),
    proberWorstMs: probes.length === 0 ? null : Math.max(...probes.map((it) => it.tookMs)),
    lost: lostWrites(
      acks.map(({ id }) => id),
      present,
    ).length,
    onDeposed: writesOnDeposed(acks, writable),
  }
}
