/** What REST and commands say, from plain data. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { buildDsn } from '../../../src/core/api/dsn.ts'
import { EVENTS_KEPT_MAX, EventRing, formatEvent } from '../../../src/core/api/event-ring.ts'
import {
  NO_TOTALS,
  NOTHING_COUNTED,
  noteGone,
  noteStats,
  sumCpuUs,
  sumListeners,
} from '../../../src/core/api/fleet-totals.ts'
import { formatTable } from '../../../src/core/api/text-table.ts'
import type { WorkerStats } from '../../../src/core/fleet/messages.ts'

test('a reader that comes back gets what it missed, one of another process everything kept', () => {
  const ring = new EventRing('e1')
  const ids = Array.from({ length: EVENTS_KEPT_MAX + 5 }, (_, n) => ring.push(n, 'swap', { n }).id)
  assert.deepEqual(
    ring.since(ids.at(-3)!).map((it) => it.data['n']),
    [EVENTS_KEPT_MAX + 3, EVENTS_KEPT_MAX + 4],
  )
  assert.deepEqual(ring.since(ids.at(-1)!), [])
  for (const id of [null, 'e0-3', 'e1-x', 'e1--1', 'e1-9999999', ids[0]!]) {
    assert.equal(ring.since(id).length, EVENTS_KEPT_MAX, String(id))
  }
  assert.match(
    formatEvent(ring.since(ids.at(-2)!)[0]!),
    /^id: e1-1005\nevent: swap\ndata: \{.*\}\n\n$/,
  )
})

function stats(accepted: number, current: number, cpuUs: number): WorkerStats {
  const eventLoopDelayMs = { p50: 0, p99: 0, max: 0 }
  const write = { ...NOTHING_COUNTED, accepted, current, ended: { 'client-closed': accepted } }
  return { listeners: { write }, backends: {}, eventLoopDelayMs, rssBytes: 1, cpuUs }
}

test('what a dead worker counted stays, what it had open does not', () => {
  let totals = noteStats(NO_TOTALS, 10, 0, stats(5, 3, 100))
  totals = noteGone(totals, 10)
  totals = noteStats(totals, 11, 0, stats(2, 1, 40))
  const { write } = sumListeners(totals)
  assert.deepEqual([write?.accepted, write?.current, write?.ended['client-closed']], [7, 1, 7])
  assert.equal(sumCpuUs(totals).get(0), 140)
})

test('a listener that a reload removed keeps its counts', () => {
  let totals = noteStats(NO_TOTALS, 10, 0, stats(5, 3, 100))
  totals = noteStats(totals, 10, 0, { ...stats(0, 0, 110), listeners: {} })
  assert.deepEqual(
    [sumListeners(totals)['write']?.accepted, sumListeners(totals)['write']?.current],
    [5, 0],
  )
})

test('counters never go backwards, whoever dies when', () => {
  const step = fc.record({
    pid: fc.integer({ min: 1, max: 3 }),
    more: fc.nat(100),
    dies: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const counted = new Map<number, number>()
      let totals = NO_TOTALS
      let last = 0
      for (const { pid, more, dies } of steps) {
        const accepted = (counted.get(pid) ?? 0) + more
        counted.set(pid, dies ? 0 : accepted)
        totals = noteStats(totals, pid, pid, stats(accepted, 0, accepted))
        if (dies) totals = noteGone(totals, pid)
        const now = sumListeners(totals)['write']?.accepted ?? 0
        assert.ok(now >= last, `${now} after ${last}`)
        last = now
      }
    }),
  )
})

test('connection strings name a host that can be dialled', () => {
  const tcp = (host: string, port: number) =>
    [{ kind: 'tcp', host, port, ipv6Only: false }] as const
  const write = { name: 'write', target: 'primary', addresses: tcp('0.0.0.0', 5000) } as const
  const all = { name: 'all', target: 'any', addresses: tcp('::1', 5002) } as const
  const path = '/run/pg/.s.PGSQL.5000'
  const unix = { name: 'local', target: 'primary', addresses: [{ kind: 'unix', path }] } as const
  const uri = (...args: Parameters<typeof buildDsn>) => buildDsn(...args)?.uri
  assert.equal(uri([write], 'primary', 'db1'), 'postgresql://db1:5000/')
  assert.equal(uri([write], 'replica', 'db1'), undefined)
  assert.equal(
    uri([all], 'replica', 'db1'),
    'postgresql://[::1]:5002/?options=-c%20pgsteer.target%3Dreplica',
  )
  assert.equal(uri([unix], 'primary', 'db1'), 'postgresql:///?host=%2Frun%2Fpg&port=5000')
})

test('tables are aligned and harmless to a terminal', () => {
  assert.equal(
    formatTable(
      ['a', 'number'],
      [
        ['x\u001b[31m', 7],
        ['long name', 12345678],
      ],
    ),
    'a            number\nx?[31m            7\nlong name  12345678\n',
  )
})
