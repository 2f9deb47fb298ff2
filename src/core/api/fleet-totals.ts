/**
 * Adds up what workers report. Each worker counts from its own start; what a dead worker counted is
 * kept, so sums never go backwards when one is replaced, nor when a reload drops a listener.
 */
import type { EndReason, WorkerStats } from '../fleet/messages.ts'
import { HOLD_BUCKETS_MS } from '../fleet/messages.ts'

export type ListenerTotals = WorkerStats['listeners'][string]

type Reported = { readonly index: number; readonly stats: WorkerStats }

export type FleetTotals = {
  readonly live: ReadonlyMap<number, Reported>
  readonly past: Readonly<Record<string, ListenerTotals>>
  /** CPU time of dead workers by index. */
  readonly pastCpuUs: ReadonlyMap<number, number>
}

export const NO_TOTALS: FleetTotals = { live: new Map(), past: {}, pastCpuUs: new Map() }

export const NOTHING_COUNTED: ListenerTotals = {
  accepted: 0,
  current: 0,
  held: 0,
  bytesIn: 0,
  bytesOut: 0,
  ended: {},
  holdBuckets: HOLD_BUCKETS_MS.map(() => 0),
  holdSumMs: 0,
  holdCount: 0,
}

/** The newest report of worker `pid`. */
export function noteStats(
  totals: FleetTotals,
  pid: number,
  index: number,
  stats: WorkerStats,
): FleetTotals {
  const before = totals.live.get(pid)?.stats.listeners ?? {}
  const listeners = { ...mapValues(before, withoutGauges), ...stats.listeners }
  const live = new Map(totals.live).set(pid, { index, stats: { ...stats, listeners } })
  return { ...totals, live }
}

/** Worker `pid` is gone: what it counted stays. */
export function noteGone(totals: FleetTotals, pid: number): FleetTotals {
  const gone = totals.live.get(pid)
  if (gone === undefined) return totals
  const live = new Map(totals.live)
  live.delete(pid)
  const { index, stats } = gone
  const cpuUs = (totals.pastCpuUs.get(index) ?? 0) + stats.cpuUs
  return {
    live,
    past: addAll([totals.past, mapValues(stats.listeners, withoutGauges)]),
    pastCpuUs: new Map(totals.pastCpuUs).set(index, cpuUs),
  }
}

/** By listener, over all workers that ever reported. */
export function sumListeners(totals: FleetTotals): Readonly<Record<string, ListenerTotals>> {
  return addAll([totals.past, ...[...totals.live.values()].map((it) => it.stats.listeners)])
}

/** CPU time by worker index, dead predecessors included. */
export function sumCpuUs(totals: FleetTotals): ReadonlyMap<number, number> {
  const sums = new Map(totals.pastCpuUs)
  for (const { index, stats } of totals.live.values()) {
    sums.set(index, (sums.get(index) ?? 0) + stats.cpuUs)
  }
  return sums
}

/** Sessions by backend member, over the living workers. */
export function sumBackends(totals: FleetTotals): Readonly<Record<string, number>> {
  const sums: Record<string, number> = {}
  for (const { stats } of totals.live.values()) {
    for (const [member, backend] of Object.entries(stats.backends)) {
      sums[member] = (sums[member] ?? 0) + backend.current
    }
  }
  return sums
}

function addAll(
  parts: readonly Readonly<Record<string, ListenerTotals>>[],
): Record<string, ListenerTotals> {
  const sums: Record<string, ListenerTotals> = {}
  for (const part of parts) {
    for (const [name, counted] of Object.entries(part)) {
      sums[name] = add(sums[name] ?? NOTHING_COUNTED, counted)
    }
  }
  return sums
}

function add(a: ListenerTotals, b: ListenerTotals): ListenerTotals {
  const ended: Partial<Record<EndReason, number>> = { ...a.ended }
  for (const [reason, count] of Object.entries(b.ended) as [EndReason, number][]) {
    ended[reason] = (ended[reason] ?? 0) + count
  }
  return {
    accepted: a.accepted + b.accepted,
    current: a.current + b.current,
    held: a.held + b.held,
    bytesIn: a.bytesIn + b.bytesIn,
    bytesOut: a.bytesOut + b.bytesOut,
    ended,
    holdBuckets: HOLD_BUCKETS_MS.map(
      (_, at) => (a.holdBuckets[at] ?? 0) + (b.holdBuckets[at] ?? 0),
    ),
    holdSumMs: a.holdSumMs + b.holdSumMs,
    holdCount: a.holdCount + b.holdCount,
  }
}

function withoutGauges(counted: ListenerTotals): ListenerTotals {
  return { ...counted, current: 0, held: 0 }
}

function mapValues<A, B>(from: Readonly<Record<string, A>>, how: (value: A) => B) {
  return Object.fromEntries(Object.entries(from).map(([key, value]) => [key, how(value)]))
}
