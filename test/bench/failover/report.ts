/** The outcomes side by side; pure. */
import { median, percentile } from '../kit/stats.ts'
import { figureText, tableText } from '../kit/table.ts'
import type { Counts, Outcome } from './outcome.ts'

export type FleetSummary = {
  readonly rounds: number
  readonly acknowledged: number
  readonly gapMs: Spread
  readonly writerGapMs: Spread
  readonly firstWriteMs: Spread
  readonly writerBackMs: Spread
  readonly errors: number
  readonly readOnlyErrors: number
  readonly faults: Counts
  readonly proberErrors: number
  readonly proberFaults: Counts
  readonly proberWorstMs: number | null
  readonly lost: number
  readonly onDeposed: number
}
export type Spread = {
  readonly p50: number | null
  readonly p95: number | null
  readonly max: number | null
}

const READ_ONLY = / 25006$/

/** All rounds of one kind and one fleet. */
export function summarizeFleet(outcomes: readonly Outcome[]): FleetSummary {
  const proberWorst = outcomes.flatMap((it) => it.proberWorstMs ?? [])
  const firsts = outcomes.flatMap((it) => it.firstWriteMs ?? [])
  const faults = addCounts(outcomes.map((it) => it.faults))
  const proberFaults = addCounts(outcomes.map((it) => it.proberFaults))
  const all = [...faults, ...proberFaults]
  return {
    rounds: outcomes.length,
    acknowledged: total(outcomes.map((it) => it.acknowledged)),
    gapMs: spread(outcomes.map((it) => it.gapMs)),
    writerGapMs: spread(outcomes.flatMap((it) => it.writerGapsMs)),
    firstWriteMs: spread(firsts),
    writerBackMs: spread(outcomes.flatMap((it) => it.writerBackMs)),
    errors: sum(faults),
    readOnlyErrors: sum(all.filter(([name]) => READ_ONLY.test(name))),
    faults,
    proberErrors: sum(proberFaults),
    proberFaults,
    proberWorstMs: proberWorst.length === 0 ? null : Math.max(...proberWorst),
    lost: total(outcomes.map((it) => it.lost)),
    onDeposed: total(outcomes.map((it) => it.onDeposed)),
  }
}

/** One block for each kind, fleets in columns. */
export function reportText(outcomes: readonly Outcome[], fleets: readonly string[]): string {
  const kinds = [...new Set(outcomes.map(({ kind }) => kind))]
  return kinds.map((kind) => blockText(kind, outcomes, fleets)).join('\n')
}

function blockText(kind: string, outcomes: readonly Outcome[], fleets: readonly string[]): string {
  const ofKind = outcomes.filter((it) => it.kind === kind)
  const summaries = fleets.map((fleet) => summarizeFleet(ofKind.filter((it) => it.fleet === fleet)))
  const rounds = summaries[0]?.rounds ?? 0
  const elections = ofKind.filter((it) => it.fleet === fleets[0]).map((it) => it.electionMs)
  const unsure = ofKind.map((it) => it.unsureMs)
  const row = (title: string, cell: (summary: FleetSummary) => string) => [
    title,
    ...summaries.map(cell),
  ]
  return tableText([
    [`${kind}, ${rounds} ${rounds === 1 ? 'round' : 'rounds'}`, ...fleets],
    [`  blow to new primary writable, ms p50`, ...fleets.map(() => figureText(median(elections)))],
    ['  seen at most so much late, ms', ...fleets.map(() => figureText(Math.max(...unsure)))],
    row('  no acknowledged write, ms p50/max', (it) => pair(it.gapMs.p50, it.gapMs.max)),
    row('  the same by writer, ms p50/max', (it) => pair(it.writerGapMs.p50, it.writerGapMs.max)),
    row('  writable to first write, ms p50/p95', (it) =>
      pair(it.firstWriteMs.p50, it.firstWriteMs.p95),
    ),
    row('  the same by writer, ms p50/p95', (it) => pair(it.writerBackMs.p50, it.writerBackMs.p95)),
    row('  errors of writers', (it) => String(it.errors)),
    ...faultRows(summaries, (it) => it.faults),
    row('  errors of new connections', (it) => String(it.proberErrors)),
    ...faultRows(summaries, (it) => it.proberFaults),
    row('  slowest new connection, ms', (it) => figureText(it.proberWorstMs)),
    row('  25006 read-only errors', (it) => String(it.readOnlyErrors)),
    row('  acknowledged writes lost', (it) => `${it.lost} of ${it.acknowledged}`),
    row('  writes on a deposed primary', (it) => String(it.onDeposed)),
  ])
}

function faultRows(
  summaries: readonly FleetSummary[],
  pick: (summary: FleetSummary) => Counts,
): readonly (readonly string[])[] {
  const names = addCounts(summaries.map(pick)).map(([name]) => name)
  return names.map((name) => [
    `    ${name}`,
    ...summaries.map((it) => String(pick(it).find(([other]) => other === name)?.[1] ?? 0)),
  ])
}

function addCounts(lists: readonly Counts[]): Counts {
  const sums = new Map<string, number>()
  for (const [name, count] of lists.flat()) sums.set(name, (sums.get(name) ?? 0) + count)
  return [...sums].sort(([, a], [, b]) => b - a)
}

function spread(samples: readonly number[]): Spread {
  return {
    p50: percentile(samples, 50),
    p95: percentile(samples, 95),
    max: percentile(samples, 100),
  }
}

function pair(a: number | null, b: number | null): string {
  return `${figureText(a)} / ${figureText(b)}`
}

function sum(counts: Counts): number {
  return total(counts.map(([, count]) => count))
}

function total(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0)
}
