/** Rhythm of the checks, by a clock that the test moves. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Checks, type SeenMember, type WantedCheck } from '../../../src/app/checks.ts'
import type { PeerReply } from '../../../src/io/http/patroni-client.ts'

const PRIMARY = JSON.stringify({ state: 'running', xlog: { location: 5 } })
const answered: PeerReply = { kind: 'answered', status: 200, body: PRIMARY }
const check = (everyMs: number, member = 'a'): WantedCheck => ({
  ...{ member, everyMs, apiUrl: 'http://a', path: '/patroni' },
})

/** Timers and answers happen when the test says so. */
function stage() {
  let now = 1000
  let timers: { atMs: number; run: () => void }[] = []
  const asked: { member: string; atMs: number; timeoutMs: number }[] = []
  const paths: string[] = []
  const open: ((reply: PeerReply) => void)[] = []
  const seen: SeenMember[] = []
  const clock = {
    nowMs: () => now,
    every: () => () => {},
    after(delayMs: number, run: () => void) {
      const timer = { atMs: now + Math.max(0, delayMs), run }
      timers.push(timer)
      return () => {
        timers = timers.filter((it) => it !== timer)
      }
    },
  }
  const checks = new Checks({
    clock,
    ask(member, path, timeoutMs) {
      paths.push(path)
      asked.push({ member, atMs: now, timeoutMs })
      return new Promise((resolve) => void open.push(resolve))
    },
    onSighting: (sighting) => seen.push(sighting),
  })
  return {
    checks,
    asked,
    paths,
    seen,
    timers: () => timers.length,
    pass(ms: number) {
      for (const untilMs = now + ms; ; ) {
        const due = timers.filter((it) => it.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0]
        if (due === undefined) {
          now = untilMs
          return
        }
        timers = timers.filter((it) => it !== due)
        now = due.atMs
        due.run()
      }
    },
    async answer(reply: PeerReply = answered) {
      open.shift()?.(reply)
      await Promise.resolve()
      await Promise.resolve()
    },
  }
}

test('the first question is asked at once, the next everyMs after the start of the last', async () => {
  const it = stage()
  it.checks.want([check(100)])
  it.pass(0)
  it.pass(30)
  await it.answer()
  it.pass(70)
  assert.deepEqual(
    it.asked.map(({ atMs }) => atMs),
    [1000, 1100],
  )
  assert.deepEqual(it.seen, [
    { member: 'a', atMs: 1000, answer: { kind: 'primary', holdsLock: null } },
  ])
})

test('the state is asked where it comes at once, and else where it always is', async () => {
  const it = stage()
  it.checks.want([check(100)])
  it.pass(0)
  await it.answer({ kind: 'answered', status: 404, body: 'what?' })
  await it.answer()
  assert.deepEqual(it.paths, ['/health', '/patroni'])
  assert.equal(it.seen[0]?.answer.kind, 'primary')
  it.pass(100)
  assert.deepEqual(it.paths, ['/health', '/patroni', '/patroni'])
})

test('a question that hangs is joined by the next after a quarter second, four at most', async () => {
  const it = stage()
  it.checks.want([check(25)])
  it.pass(0)
  it.pass(249)
  it.checks.want([check(30)])
  it.pass(0)
  assert.equal(it.asked.length, 1)
  it.pass(1)
  assert.equal(it.asked.length, 2)
  it.pass(5000)
  assert.deepEqual(
    it.asked.map(({ atMs }) => atMs),
    [1000, 1250, 1500, 1750],
  )
  await it.answer({ kind: 'failed', why: 'no answer in time' })
  it.pass(0)
  assert.equal(it.asked.length, 5)
  assert.deepEqual(it.seen[0]?.answer, { kind: 'unreachable', why: 'no answer in time' })
})

test('each sighting carries the time of its own question', async () => {
  const it = stage()
  it.checks.want([check(25)])
  it.pass(0)
  it.pass(250)
  await it.answer()
  await it.answer()
  assert.deepEqual(
    it.seen.map(({ atMs }) => atMs),
    [1000, 1250],
  )
})

test('a calm rhythm never has two questions open', async () => {
  const it = stage()
  it.checks.want([check(2500)])
  it.pass(0)
  it.pass(2000) // by then the question has timed out
  assert.equal(it.asked.length, 1)
})

test('a tighter rhythm takes effect at once, a tight question may take less time', async () => {
  const it = stage()
  it.checks.want([check(2000)])
  it.pass(0)
  await it.answer()
  it.pass(50)
  it.checks.want([check(25)])
  it.pass(0)
  assert.deepEqual(
    it.asked.map(({ atMs, timeoutMs }) => [atMs, timeoutMs]),
    [
      [1000, 2000],
      [1050, 1000],
    ],
  )
})

test('what is not wanted any more is not asked, and its late answer is not told', async () => {
  const it = stage()
  it.checks.want([check(25)])
  it.pass(0)
  it.checks.want([])
  await it.answer()
  it.pass(1000)
  assert.deepEqual([it.asked.length, it.seen.length, it.timers()], [1, 0, 0])
})
