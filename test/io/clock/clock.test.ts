/** Timers longer than Node's own. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../../src/io/clock/clock.ts'

const DAY_MS = 24 * 3600 * 1000

test('a wait of months is cut in pieces that a timer takes, and can be cancelled in each', (t) => {
  const delays: number[] = []
  let run = () => undefined as unknown
  t.mock.method(globalThis, 'setTimeout', (callback: () => void, ms: number) => {
    delays.push(ms)
    run = callback
    return delays.length
  })
  const cleared = t.mock.method(globalThis, 'clearTimeout', () => undefined)
  let calls = 0
  const cancel = systemClock.after(60 * DAY_MS, () => calls++)
  run()
  run()
  assert.equal(calls, 0)
  cancel()
  assert.deepEqual(cleared.mock.calls.at(-1)?.arguments, [3])
  run()
  assert.equal(calls, 1)
  assert.equal(delays.length, 3)
  assert.equal(
    delays.reduce((sum, ms) => sum + ms, 0),
    60 * DAY_MS,
  )
  assert.ok(delays.every((ms) => ms < 2 ** 31))
})
