/** Worker lifecycles as decisions: no processes, no clock. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  AWAIT_MS,
  decideFleet,
  type FleetAction,
  type FleetEvent,
  type FleetState,
  initialFleet,
  isServing,
  mayHoldSessions,
  SILENCE_MS,
} from '../../../src/core/fleet/adoption.ts'
import { FLEET_PROTOCOL } from '../../../src/core/fleet/messages.ts'

const VERSION = '1.0.0'
const fresh = (wanted = 2) => initialFleet(wanted, VERSION, 5000, 0)

type Story = { state: FleetState; actions: FleetAction[] }

/** Plays events at their times and collects what was to be done. */
function play(state: FleetState, ...events: [number, FleetEvent][]): Story {
  const story: Story = { state, actions: [] }
  for (const [atMs, event] of events) {
    const step = decideFleet(story.state, atMs, event)
    story.state = step.state
    story.actions.push(...step.actions)
  }
  return story
}

const tick: FleetEvent = { kind: 'tick' }
const spawned = (pid: number, index: number): FleetEvent => ({ kind: 'spawned', pid, index })
const exited = (pid: number): FleetEvent => ({ kind: 'exited', pid })
const listening = (pid: number): FleetEvent => ({ kind: 'listening', pid })
const found = (...workers: { pid: number; index: number }[]): FleetEvent => ({
  kind: 'found',
  workers,
})
function hello(pid: number, index: number, more: object = {}): FleetEvent {
  const base = { protocol: FLEET_PROTOCOL, version: VERSION, ownsUnixSockets: false }
  return { kind: 'hello', pid, index, ...base, ...more }
}
const kinds = (actions: readonly FleetAction[]) => actions.map((it) => it.kind)

test('missing workers are ordered once each', () => {
  const { actions } = play(fresh(3), [0, tick], [1, tick])
  assert.deepEqual(
    actions,
    [0, 1, 2].map((index) => ({ kind: 'spawn', index })),
  )
})

test('a worker that says hello is adopted, the first one owns the unix sockets', () => {
  const { actions } = play(
    fresh(2),
    [0, tick],
    [1, spawned(10, 0)],
    [1, spawned(11, 1)],
    [200, hello(11, 1)],
    [210, hello(10, 0)],
  )
  assert.deepEqual(actions.slice(2), [
    { kind: 'adopt', pid: 11 },
    { kind: 'own-unix-sockets', pid: 11 },
    { kind: 'adopt', pid: 10 },
  ])
})

test('workers of an earlier control process are awaited, not doubled', () => {
  const both = found({ pid: 10, index: 0 }, { pid: 11, index: 1 })
  const story = play(fresh(2), [0, both], [100, hello(10, 0)], [240, hello(11, 1)])
  assert.deepEqual(kinds(story.actions), ['adopt', 'adopt', 'own-unix-sockets'])
})

test('sockets go to nobody while a worker that may own them is awaited', () => {
  const both = found({ pid: 10, index: 0 }, { pid: 11, index: 1 })
  const owner = { ownsUnixSockets: true }
  const story = play(fresh(2), [0, both], [100, hello(11, 1)], [200, hello(10, 0, owner)])
  assert.deepEqual(kinds(story.actions), ['adopt', 'adopt'])
})

test('one that does not come back is replaced; coming late, the elder stays', () => {
  const before = play(fresh(1), [0, found({ pid: 10, index: 0 })], [AWAIT_MS, tick])
  assert.deepEqual(before.actions, [{ kind: 'spawn', index: 0 }])
  const after = play(
    before.state,
    [1010, spawned(20, 0)],
    [1100, hello(20, 0)],
    [1200, hello(10, 0)],
  )
  const drained = after.actions.filter((it) => it.kind === 'drain')
  assert.deepEqual(
    drained.map((it) => [it.pid, it.why]),
    [[20, 'not-wanted']],
  )
})

test('another version serves until its replacement listens', () => {
  const old = hello(10, 0, { version: '0.9.0' })
  const waiting = play(
    fresh(1),
    [0, found({ pid: 10, index: 0 })],
    [50, old],
    [60, spawned(20, 0)],
    [300, hello(20, 0)],
  )
  assert.deepEqual(kinds(waiting.actions).includes('drain'), false)
  const done = play(waiting.state, [310, listening(20)])
  assert.deepEqual(
    done.actions.map((it) => (it.kind === 'drain' ? [it.pid, it.why] : it)),
    [[10, 'another-version']],
  )
})

test('another protocol has to let go within the shutdown grace', () => {
  const { actions } = play(
    fresh(1),
    [0, found({ pid: 10, index: 0 })],
    [50, hello(10, 0, { protocol: FLEET_PROTOCOL + 1 })],
    [60, spawned(20, 0)],
    [300, hello(20, 0)],
    [310, listening(20)],
  )
  const drain = actions.find((it) => it.kind === 'drain')
  assert.deepEqual(drain, { kind: 'drain', pid: 10, why: 'another-protocol', graceMs: 5000 })
})

test('a dead worker is replaced at once, one that dies at birth ever more slowly', () => {
  const lived = play(
    fresh(1),
    [0, tick],
    [1, spawned(10, 0)],
    [9, hello(10, 0)],
    [5000, exited(10)],
  )
  assert.deepEqual(lived.actions.at(-1), { kind: 'spawn', index: 0 })

  let { state } = play(fresh(1), [0, tick])
  const gaps: number[] = []
  for (let now = 0, pid = 100; gaps.length < 8; pid += 1) {
    state = play(state, [now, spawned(pid, 0)]).state
    const diedAt = now
    let step = play(state, [now, exited(pid)])
    while (step.actions.length === 0) {
      now += 50
      step = play(step.state, [now, tick])
    }
    state = step.state
    gaps.push(now - diedAt)
  }
  assert.deepEqual(gaps, [0, 250, 500, 1000, 2000, 5000, 5000, 5000])
})

test('a frozen worker is killed and replaced; after a pause of ours nobody is blamed', () => {
  const serving = play(fresh(1), [0, tick], [1, spawned(10, 0)], [100, hello(10, 0)]).state
  let state = serving
  const actions: FleetAction[] = []
  for (let now = 1000; now <= 100 + SILENCE_MS; now += 100) {
    const step = play(state, [now, tick])
    state = step.state
    actions.push(...step.actions)
  }
  assert.deepEqual(actions, [
    { kind: 'kill', pid: 10, why: 'silent' },
    { kind: 'spawn', index: 0 },
  ])
  assert.deepEqual(play(serving, [60_000, tick]).actions, [])
})

test('a stranger that can not read our tables has to let go soon', () => {
  const { actions } = play(fresh(0), [0, hello(77, 0, { protocol: FLEET_PROTOCOL + 1 })])
  assert.deepEqual(actions, [{ kind: 'drain', pid: 77, why: 'another-protocol', graceMs: 5000 }])
})

test('whoever may have sessions counts, reachable or not', () => {
  const holding = (...events: [number, FleetEvent][]) =>
    [...play(fresh(1), ...events).state.workers.values()].filter(mayHoldSessions).length
  assert.equal(holding([0, tick], [1, spawned(10, 0)]), 0)
  assert.equal(holding([0, found({ pid: 10, index: 0 })]), 1)
  assert.equal(holding([0, tick], [1, spawned(10, 0)], [9, hello(10, 0)]), 1)
  const gone: FleetEvent = { kind: 'hung-up', pid: 10 }
  assert.equal(holding([0, tick], [1, spawned(10, 0)], [9, hello(10, 0)], [10, gone]), 1)
  assert.equal(holding([0, hello(77, 0)]), 1)
})

test('a stranger is drained, surplus workers are drained, the sockets move on', () => {
  assert.deepEqual(kinds(play(fresh(0), [0, hello(77, 0)]).actions), ['drain'])
  const two = play(
    fresh(2),
    [0, tick],
    [1, spawned(10, 0)],
    [1, spawned(11, 1)],
    [9, hello(11, 1)],
    [10, hello(10, 0)],
  )
  const one = play(two.state, [2000, { kind: 'resized', wanted: 1, graceMs: 5000 }])
  assert.deepEqual(kinds(one.actions), ['drain'])
  const later = play(one.state, [2100, { kind: 'heard', pid: 11 }], [3100, tick])
  assert.deepEqual(later.actions, [{ kind: 'own-unix-sockets', pid: 10 }])
})

test('whatever happens, no place is filled twice and one worker owns the sockets', () => {
  const pid = fc.integer({ min: 1, max: 6 })
  const index = fc.integer({ min: 0, max: 2 })
  const event: fc.Arbitrary<FleetEvent> = fc.oneof(
    fc.constant(tick),
    fc.record({ kind: fc.constant('heard' as const), pid }),
    fc.record({ kind: fc.constant('listening' as const), pid }),
    fc.record({ kind: fc.constant('hung-up' as const), pid }),
    fc.record({ kind: fc.constant('exited' as const), pid }),
    fc.tuple(pid, index, fc.boolean()).map(([p, i, v]) => hello(p, i, v ? {} : { version: 'x' })),
  )
  const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 3000 }), event), { maxLength: 60 })
  fc.assert(
    fc.property(steps, (events) => {
      let now = 0
      let nextPid = 1000
      let state = fresh(3)
      for (const [pauseMs, event] of events) {
        now += pauseMs
        const queue: FleetEvent[] = [event]
        for (let it = queue.shift(); it !== undefined; it = queue.shift()) {
          const step = decideFleet(state, now, it)
          state = step.state
          for (const act of step.actions) {
            if (act.kind === 'spawn') queue.push(spawned(nextPid++, act.index))
          }
        }
        const workers = [...state.workers.values()]
        const born = workers.filter((it) => it.pid >= 1000)
        for (const at of [0, 1, 2]) {
          const here = born.filter((it) => it.index === at && it.at.kind === 'starting')
          assert.ok(here.length <= 1, `${here.length} workers starting at ${at}`)
        }
        const appointed = workers.filter((it) => it.ownsUnixSockets && isServing(it))
        assert.ok(appointed.length <= 1)
      }
    }),
  )
})
