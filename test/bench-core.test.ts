/** The pure parts of the benchmarks: a wrong figure is worse than none. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { judgeFleet } from './bench/failover/outcome.ts'
import { summarizeFleet } from './bench/failover/report.ts'
import { classify, countBy } from './bench/kit/faults.ts'
import {
  type Ack,
  firstWrites,
  gapsByWriter,
  longestGap,
  lostWrites,
  writesOnDeposed,
} from './bench/kit/gaps.ts'
import { parseFailures, parseLog } from './bench/kit/pgbench-text.ts'
import { descendants, parseSchedstat, parseSmapsRollup, parseStat } from './bench/kit/proc-text.ts'
import { median, pairedRatios, percentile, summarize } from './bench/kit/stats.ts'
import { figureText, tableText } from './bench/kit/table.ts'
import { copyBytes } from './bench/proxy/copy.ts'
import { FigureBook, reportFigure } from './bench/proxy/figures.ts'
import { reportText } from './bench/proxy/report.ts'

describe('statistics', () => {
  test('percentiles by nearest rank, whatever the order', () => {
    const samples = [15, 20, 35, 40, 50].reverse()
    assert.deepEqual(
      [0, 5, 30, 40, 50, 95, 100].map((p) => percentile(samples, p)),
      [15, 15, 20, 20, 35, 50, 50],
    )
  })

  test('99 of 100 samples are at most the p99', () => {
    const samples = Array.from({ length: 100 }, (_, at) => at + 1)
    assert.equal(percentile(samples, 99), 99)
  })

  test('medians, numerically sorted', () => {
    assert.equal(median([100, 9, 20]), 20)
    assert.equal(median([4, 1, 3, 2]), 2.5)
  })

  test('nothing comes of nothing', () => {
    assert.deepEqual([percentile([], 50), median([]), summarize([])], [null, null, null])
  })

  test('ratios are of the same round; a round without both gives none', () => {
    assert.deepEqual(pairedRatios([2, null, 9, 5], [4, 1, 3, 0]), [0.5, 3])
  })
})

describe('tables', () => {
  test('first column left, others right, no trailing blanks', () => {
    const text = tableText([
      ['name', 'a', 'goal'],
      ['x', '100', ''],
      ['long name', '1', '2'],
    ])
    assert.equal(text, 'name         a  goal\nx          100\nlong name    1     2\n')
  })

  test('figures keep about three digits', () => {
    const texts = [0, 0.1234, 1.234, 12.34, 123.4, 12345.6, null].map(figureText)
    assert.deepEqual(texts, ['0', '0.123', '1.23', '12.3', '123', '12346', '-'])
  })
})

describe('/proc', () => {
  const stat = (command: string) =>
    `812 (${command}) S 7 812 812 0 -1 4194560 900 0 0 0 321 45 6 7 20 0 11 0 98765 1 2 3\n`

  test('the command may hold spaces and parentheses', () => {
    for (const command of ['node', 'pgsteer: worker 0', 'a) b (c', ') S 1 2 3']) {
      assert.deepEqual(parseStat(stat(command)), { parent: 7, startTicks: 98765, ticks: 366 })
    }
  })

  test('a process that is gone has no figures', () => {
    assert.deepEqual([parseStat(''), parseSchedstat(''), parseSmapsRollup('')], [null, null, null])
  })

  test('schedstat and smaps_rollup', () => {
    assert.equal(parseSchedstat('822973 8480386 5\n'), 822973)
    const text =
      '55bf-7ffc ---p 0 00:00 0 [rollup]\nRss:    1752 kB\nPss:   195 kB\nPss_Dirty: 1 kB\n'
    assert.deepEqual(parseSmapsRollup(text), { rssKb: 1752, pssKb: 195 })
  })

  test('a tree holds children of children and nobody else', () => {
    const parents = new Map([
      [10, 1],
      [11, 10],
      [12, 11],
      [20, 1],
    ])
    assert.deepEqual(descendants(10, parents), [10, 11, 12])
  })
})

describe('pgbench', () => {
  test('only transactions that ended inside the window count', () => {
    const lines = ['0 1 900 0 100 0', '1 2 50 0 100 500000', '0 2 70 0 101 0', '0 3 9']
    const window = { fromUs: 100_000_001, toUs: 101_000_000 }
    assert.deepEqual(parseLog(lines.join('\n'), window), { count: 1, latenciesUs: [50] })
  })

  test('failures are read off the summary; without one nothing is known', () => {
    const summary =
      'number of transactions actually processed: 10\nnumber of failed transactions: 3 (1%)'
    assert.equal(parseFailures(summary), 3)
    assert.equal(parseFailures('number of transactions actually processed: 10/10'), 0)
    assert.equal(parseFailures('connection refused'), null)
  })
})

describe('COPY', () => {
  test('bytes of the rows, counted the slow way', () => {
    for (const rows of [1, 9, 10, 99, 100, 12_345]) {
      let bytes = 0
      for (let i = 1; i <= rows; i++) bytes += `${i}\t${'x'.repeat(1024)}\n`.length
      assert.equal(copyBytes(rows), bytes, `${rows} rows`)
    }
  })
})

describe('goals', () => {
  const figure = (limit: number) => ({
    key: 'cpu',
    title: 'CPU',
    unit: 'µs',
    goal: { of: 'ratio', is: 'at most', limit } as const,
  })

  test('judged by the median of the ratios of the rounds', () => {
    const book = new FigureBook()
    for (const [ours, theirs] of [
      [9, 10],
      [20, 20],
      [28, 40],
    ] as const) {
      book.add(figure(0.95), 'haproxy', theirs)
      book.add(figure(0.95), 'pgsteer', ours)
    }
    const [report] = book.list().map(reportFigure)
    assert.equal(report?.ratios['pgsteer']?.median, 0.9)
    assert.equal(report?.verdict, 'met')
    assert.equal(reportFigure({ ...book.list()[0]!, ...figure(0.89) }).verdict, 'missed')
    assert.match(reportText([report!], ['haproxy', 'pgsteer']), /CPU, µs.*×0\.90.*≤ ×0\.95\s+met/)
  })

  test('without HAProxy there is no ratio and no verdict', () => {
    const book = new FigureBook()
    book.add(figure(0.95), 'pgsteer', 9)
    assert.equal(reportFigure(book.list()[0]!).verdict, 'not measured')
  })
})

describe('failovers', () => {
  const ack = (writer: number, ackMs: number, port = 1, sentMs = ackMs - 1): Ack => ({
    ...{ writer, ackMs, port, sentMs },
  })

  test('gaps count both ends, and writers by themselves', () => {
    assert.equal(longestGap([10, 40, 50], 0, 60), 30)
    assert.equal(longestGap([10, 20], 0, 100), 80)
    assert.equal(longestGap([], 5, 25), 20)
    const acks = [ack(0, 10), ack(1, 20), ack(0, 30), ack(1, 90)]
    assert.deepEqual(gapsByWriter(acks, 3, 0, 100), [70, 70, 100])
  })

  test('the first write on the new primary, not the last on the old', () => {
    const writable = { port: 2, atMs: 100, notBeforeMs: 95 }
    const acks = [ack(0, 99, 1), ack(0, 130, 2), ack(1, 97, 2), ack(1, 140, 2)]
    assert.deepEqual(firstWrites(acks, 2, writable), { firstMs: -3, byWriterMs: [30, -3] })
    assert.equal(firstWrites([ack(0, 99, 1)], 1, writable).firstMs, null)
  })

  test('a primary restarted in place: its writes from before the crash do not count', () => {
    const writable = { port: 1, atMs: 100, notBeforeMs: 95 }
    assert.equal(firstWrites([ack(0, 90), ack(0, 150)], 1, writable).firstMs, 50)
  })

  test('a write sent to the old primary after the new one opened is a fault', () => {
    const writable = { port: 2, atMs: 100 }
    const acks = [ack(0, 101, 1, 99), ack(0, 102, 1, 101), ack(0, 103, 2, 102)]
    assert.equal(writesOnDeposed(acks, writable), 1)
  })

  test('lost is what was acknowledged and is not there', () => {
    assert.deepEqual(lostWrites([1, 2, 3], new Set([1, 3, 4])), [2])
  })

  test('errors by SQLSTATE, else by what became of the connection', () => {
    const errors = [
      Object.assign(new Error('terminating'), { code: '57P01' }),
      Object.assign(new Error('x'), { code: 'ECONNRESET' }),
      new Error('Connection terminated unexpectedly'),
      new Error('timeout expired'),
      'odd',
    ]
    assert.deepEqual(errors.map(classify), ['57P01', 'ECONNRESET', 'closed', 'timeout', 'odd'])
    assert.deepEqual(countBy(['b', 'a', 'b']), [
      ['b', 2],
      ['a', 1],
    ])
  })

  test('an outcome tells writers from the prober, and 25006 from the rest', () => {
    const turn = { port: 2, state: 'primary', atMs: 100, notBeforeMs: 98 } as const
    const event = { kind: 'node', round: 1, fromMs: 0, triggeredMs: 50, toMs: 200, writable: turn }
    const acks = [
      { ...ack(0, 49), id: 1 },
      { ...ack(0, 120, 2), id: 2 },
      { ...ack(1, 80), id: 9 },
    ]
    const fault = { atMs: 60, by: 'writer', phase: 'statement', what: '25006' } as const
    const faults = [fault, { ...fault, by: 'prober', phase: 'connect', what: 'closed' } as const]
    const probes = [{ startMs: 0, tookMs: 7 }]
    const outcome = judgeFleet('x', 1, event, { acks, faults, probes }, new Set([2, 9]))
    assert.equal(outcome.gapMs, 80) // from 120 to the end
    assert.equal(outcome.electionMs, 50)
    assert.equal(outcome.firstWriteMs, 20)
    assert.equal(outcome.lost, 1)
    const summary = summarizeFleet([outcome, outcome])
    assert.deepEqual(
      [summary.errors, summary.proberErrors, summary.readOnlyErrors, summary.proberWorstMs],
      [2, 2, 2, 7],
    )
  })
})
