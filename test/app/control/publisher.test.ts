/** Which workers a new primary waits for, by a clock that the test moves. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Publisher, type SwitchReport } from '../../../src/app/control/publisher.ts'
import { CUT_WAIT_MS } from '../../../src/core/fleet/publishing.ts'
import type { Route, RouteTable } from '../../../src/core/routing/types.ts'

const HELD: Route = { kind: 'held', cause: 'no-leader', words: '' }

/** Writes go to `member`, and sessions may stay only there. */
function openTo(serial: number, member: string): RouteTable {
  const backend = { member, host: 'h', port: 1, role: 'primary' } as const
  const primary: Route = { kind: 'open', backends: [backend], balance: 'random' }
  return {
    ...{ serial, term: null, leader: member, stale: false, members: [] },
    keep: { primary: [{ member, addresses: null }], replicaNot: [] },
    witness: null,
    listeners: { write: { primary, replica: HELD, sync: HELD, any: HELD } },
  }
}

function stage(...owing: number[]) {
  let nowMs = 1000
  let timer: { atMs: number; run: () => void } | null = null
  const sent: string[] = []
  const reports: SwitchReport[] = []
  const publisher = new Publisher({
    clock: {
      nowMs: () => nowMs,
      every: () => () => {},
      after(delayMs, run) {
        const mine = { atMs: nowMs + delayMs, run }
        timer = mine
        return () => {
          if (timer === mine) timer = null
        }
      },
    },
    broadcast({ serial, listeners }) {
      sent.push(`${serial} ${listeners['write']!.primary.kind}`)
    },
    owing: () => owing,
    onSwitched: (report) => reports.push(report),
  })
  return {
    ...{ publisher, sent, reports, owing },
    pass(ms: number) {
      nowMs += ms
      if (timer !== null && timer.atMs <= nowMs) timer.run()
    },
    /** Both workers serve `a` by table 1. */
    settle() {
      publisher.begin()
      publisher.offer(openTo(1, 'a'), nowMs)
      for (const pid of owing) publisher.noteSwitched(pid, 0.5, 0)
      for (const pid of owing) publisher.noteSwitched(pid, 1, 0)
      sent.length = 0
      reports.length = 0
    },
  }
}

test('a new primary opens when all have let go of the old one, and the swap is counted once', () => {
  const { publisher, sent, reports, settle } = stage(10, 11)
  settle()
  publisher.offer(openTo(2, 'b'), 1000)
  publisher.noteSwitched(10, 1.5, 1)
  assert.deepEqual(sent, ['1.5 held'])
  publisher.noteSwitched(11, 1.5, 2)
  assert.deepEqual(sent, ['1.5 held', '2 open'])
  for (const pid of [10, 11]) publisher.noteSwitched(pid, 2, 0)
  const told = reports.map(({ table, isSwap, cut }) => [table.serial, isSwap, cut])
  assert.deepEqual(told, [
    [1.5, false, 3],
    [2, true, 0],
  ])
})

test('a worker that hung up and lives still serves: it is waited for, but not for long', () => {
  const { publisher, sent, settle, pass } = stage(10, 11)
  settle()
  publisher.noteGone(11)
  publisher.offer(openTo(2, 'b'), 1000)
  publisher.noteSwitched(10, 1.5, 0)
  pass(CUT_WAIT_MS - 1)
  assert.deepEqual(sent, ['1.5 held'])
  pass(1)
  assert.deepEqual(sent, ['1.5 held', '2 open'])
})

test('a worker that ended owes nothing any more', () => {
  const { publisher, sent, settle, owing } = stage(10, 11)
  settle()
  publisher.offer(openTo(2, 'b'), 1000)
  publisher.noteSwitched(10, 1.5, 0)
  owing.pop()
  publisher.noteGone(11)
  assert.deepEqual(sent, ['1.5 held', '2 open'])
})

test('a restarted control process opens nothing before it knows who lives and they answered', () => {
  const { publisher, sent } = stage(10)
  publisher.offer(openTo(1, 'b'), 1000)
  publisher.offer(openTo(2, 'b'), 1000)
  assert.deepEqual(sent, [])
  publisher.begin()
  assert.deepEqual(sent, ['1.5 held'])
  publisher.noteJoined(10)
  publisher.noteSwitched(10, 1.5, 0)
  assert.deepEqual(sent, ['1.5 held', '2 open'])
})

test('without workers nothing is waited for', () => {
  const { publisher, sent } = stage()
  publisher.begin()
  publisher.offer(openTo(1, 'b'), 1000)
  assert.deepEqual(sent, ['0.5 held', '1 open'])
})
