/** Single steps whose numbers matter; whole stories are in `test/scenario/routing`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClusterView } from '../../../src/core/cluster/types.ts'
import { PROVING_EVERY_MS, STALE_EVERY_MS } from '../../../src/core/routing/checks.ts'
import {
  decideRoutes,
  initialRoutingState,
  type RoutingInput,
  type RoutingState,
  type RoutingStep,
} from '../../../src/core/routing/decide.ts'
import { STALE_TRUST_MS } from '../../../src/core/routing/outage.ts'
import { PENALTY_MAX_MS, PENALTY_MIN_MS } from '../../../src/core/routing/penalty.ts'
import { KEY_TRUST_MS, REOPEN_GAP_MIN_MS } from '../../../src/core/routing/proof.ts'
import { SWITCHOVER_HOLD_MAX_MS } from '../../../src/core/routing/switchover.ts'
import { CONFIG, inputOf, memberNamed, primaryNamed, soundView, viewOf, WRITE } from './build.ts'

const READ = { ...WRITE, name: 'read', target: 'replica' } as const

/** Steps through inputs, each with what the one before left out. */
function stepThrough(...inputs: Partial<RoutingInput>[]): RoutingStep {
  let state: RoutingState = initialRoutingState()
  let step: RoutingStep | null = null
  for (const input of inputs) {
    step = decideRoutes(state, inputOf(input))
    state = step.state
  }
  return step!
}

function causeOf(step: RoutingStep): string {
  const route = step.table.listeners['write']!.primary
  return route.kind === 'held' ? route.cause : `open ${route.backends[0].member}`
}

/** `soundView` and then n2 with the key of revision 20. */
function changedLead(change: Partial<ClusterView> = {}): ClusterView {
  const leader = { member: 'n2', term: { store: 0, created: 20, changed: 20 } }
  return soundView({ revision: 20, leader, ...change })
}

test('a table is made whole at the first step, its serial counts from one', () => {
  const step = stepThrough({ view: soundView(), policies: [WRITE, READ] })
  assert.equal(step.changed, true)
  assert.deepEqual(step.table, {
    serial: 1,
    term: { store: 0, created: 5, changed: 5 },
    leader: 'n1',
    stale: false,
    keep: {
      primary: [{ member: 'n1', addresses: [{ host: 'n1.test', port: 5432 }] }],
      replicaNot: ['n1'],
    },
    witness: { member: 'n1', apiUrl: 'http://n1.test:8008', ttlMs: 30_000 },
    members: [
      { member: 'n1', host: 'n1.test', port: 5432, role: 'primary' },
      { member: 'n2', host: 'n2.test', port: 5432, role: 'replica' },
      { member: 'n3', host: 'n3.test', port: 5432, role: 'replica' },
    ],
    listeners: step.table.listeners,
  })
  assert.deepEqual(Object.keys(step.table.listeners), ['write', 'read'])
  assert.deepEqual(Object.keys(step.table.listeners['write']!), [
    'primary',
    'replica',
    'sync',
    'any',
  ])
})

test('the state survives JSON', () => {
  const { state } = stepThrough({ view: soundView() }, { view: changedLead() })
  assert.deepEqual(JSON.parse(JSON.stringify(state)), state)
})

test('a leader key put again by its holder is no new term', () => {
  const leader = { member: 'n1', term: { store: 0, created: 5, changed: 15 } }
  const step = stepThrough({ view: soundView() }, { view: soundView({ revision: 15, leader }) })
  assert.equal(causeOf(step), 'open n1')
})

test('a key overwritten by another holder is a new term, proven only by a key put after that', () => {
  const leader = { member: 'n2', term: { store: 0, created: 5, changed: 20 } }
  const early = [primaryNamed('n2', 19)]
  const before = { view: soundView() }
  const after = stepThrough(before, { view: soundView({ revision: 20, leader, members: early }) })
  assert.equal(causeOf(after), 'leader-not-out-of-recovery')
  const members = [primaryNamed('n2', 21)]
  const proven = stepThrough(before, { view: soundView({ revision: 21, leader, members }) })
  assert.equal(causeOf(proven), 'open n2')
})

test('a new leader is asked every 25 ms, at its own address', () => {
  const { checks, wakeAtMs } = stepThrough({ view: soundView() }, { view: changedLead() })
  const apiUrl = 'http://n2.test:8008'
  assert.deepEqual(checks, [{ member: 'n2', apiUrl, path: '/patroni', everyMs: PROVING_EVERY_MS }])
  assert.equal(wakeAtMs, null)
})

test('a member that publishes no API is not asked', () => {
  const members = [memberNamed('n2', { apiUrl: null })]
  const { checks } = stepThrough({ view: soundView() }, { view: changedLead({ members }) })
  assert.deepEqual(checks, [])
})

test('a router that starts while nobody leads believes no old key of a new leader', () => {
  const members = [primaryNamed('n2', 6)]
  const step = stepThrough({ view: viewOf() }, { view: changedLead({ members }) })
  assert.equal(causeOf(step), 'leader-not-out-of-recovery')
})

test('of two words from one instant the worse one stands', () => {
  const at = { nowMs: 1500, view: soundView() }
  const sighting = {
    member: 'n1',
    atMs: 1500,
    answer: { kind: 'primary', holdsLock: null },
  } as const
  const standby = { member: 'n1', atMs: 1500, answer: { kind: 'standby' } } as const
  const step = stepThrough({ view: soundView() }, { ...at, sightings: [standby, sighting] })
  assert.equal(causeOf(step), 'leader-not-out-of-recovery')
  assert.deepEqual(step.table.keep.primary, [])
})

test('a failure seen before the proof came asks again and closes nothing', () => {
  const members = [primaryNamed('n2', 21)]
  const view = changedLead({ revision: 21, members })
  const troubles = [{ member: 'n2', what: 'refused', atMs: 1400 }] as const
  const proven = { view, nowMs: 1500 }
  const before = { view: changedLead(), nowMs: 1300 }
  const step = stepThrough({ view: soundView() }, before, proven, { ...proven, troubles })
  assert.equal(causeOf(step), 'open n2')
  assert.equal(step.checks.length, 1)
})

test('a key older than the term proves nothing, whatever was seen in between', () => {
  const standby = { member: 'n2', atMs: 1500, answer: { kind: 'standby' } } as const
  const view = changedLead({ members: [] })
  const seen = { view, nowMs: 1500, sightings: [standby] }
  const late = changedLead({ revision: 22, members: [primaryNamed('n2', 15)] })
  const step = stepThrough({ view: soundView() }, { view }, seen, { view: late, nowMs: 1600 })
  assert.equal(causeOf(step), 'leader-not-out-of-recovery')
})

test('a proof that comes too early after an opening wakes at its time', () => {
  const troubles = [{ member: 'n1', what: 'refused', atMs: 1010 }] as const
  const stopped = { ...primaryNamed('n1', 11), state: 'stopped' }
  const noticed = { view: soundView({ revision: 11, members: [stopped] }), nowMs: 1015 }
  const view = soundView({ revision: 12, members: [primaryNamed('n1', 12)] })
  const failed = { view: soundView(), nowMs: 1010, troubles }
  const step = stepThrough({ view: soundView() }, failed, noticed, { view, nowMs: 1020 })
  assert.equal(causeOf(step), 'leader-unreachable')
  assert.equal(step.wakeAtMs, 1000 + REOPEN_GAP_MIN_MS)
  const woken = decideRoutes(step.state, inputOf({ view, nowMs: 1000 + REOPEN_GAP_MIN_MS }))
  assert.equal(causeOf(woken), 'open n1')

  const standby = { member: 'n1', atMs: 1030, answer: { kind: 'standby' } } as const
  const denied = decideRoutes(woken.state, inputOf({ view, nowMs: 1060, sightings: [standby] }))
  assert.equal(causeOf(denied), 'leader-not-out-of-recovery')
})

test('an agent that has not noticed the death of its PostgreSQL is not believed at once', () => {
  const troubles = [{ member: 'n1', what: 'refused', atMs: 10_000 }] as const
  const failed = { view: soundView(), nowMs: 10_000, troubles }
  const view = soundView({ revision: 11, members: [primaryNamed('n1', 11)] })
  const again = { view, nowMs: 10_500 }
  const step = stepThrough({ view: soundView() }, failed, again)
  assert.equal(causeOf(step), 'leader-unreachable')
  assert.equal(step.wakeAtMs, 10_000 + KEY_TRUST_MS)
  const late = decideRoutes(step.state, inputOf({ view, nowMs: 10_000 + KEY_TRUST_MS }))
  assert.equal(causeOf(late), 'open n1')
})

test('time goes on under a late view: a switchover ends at its limit', () => {
  const failover = { leader: 'n1', candidate: null, scheduledAtMs: null, changed: 12 }
  const view = soundView({ revision: 12, failover })
  const late = { view: soundView(), nowMs: 1000 + SWITCHOVER_HOLD_MAX_MS }
  const step = stepThrough({ view }, late)
  assert.equal(causeOf(step), 'open n1')
  assert.ok(step.notes.some(({ because }) => because === 'late-view-ignored'))
})

test('trouble of another member closes nothing for writers', () => {
  const troubles = [{ member: 'n2', what: 'refused', atMs: 1000 }] as const
  const step = stepThrough({ view: soundView() }, { view: soundView(), troubles })
  assert.equal(causeOf(step), 'open n1')
})

test('etcd lost: asked twice a second, woken when trust ends', () => {
  const etcd = { kind: 'lost', sinceMs: 900, why: 'gone' } as const
  const step = stepThrough({ view: soundView() }, { view: soundView(), etcd })
  assert.deepEqual(
    step.checks.map(({ path, everyMs }) => [path, everyMs]),
    [['/primary', STALE_EVERY_MS]],
  )
  assert.equal(step.wakeAtMs, 1000 + STALE_TRUST_MS)
  assert.equal(step.table.stale, true)
})

test('etcd lost: a ttl shorter than our trust ends with it, nobody is cut unasked', () => {
  const view = soundView({ config: { ...CONFIG, ttlMs: 500 } })
  const etcd = { kind: 'lost', sinceMs: 1000, why: 'gone' } as const
  const asked = stepThrough({ view }, { view, etcd }, { view, etcd, nowMs: 1500 })
  assert.equal(causeOf(asked), 'open n1')
  const nowMs = 1000 + STALE_TRUST_MS
  const step = stepThrough({ view }, { view, etcd }, { view, etcd, nowMs })
  assert.equal(causeOf(step), 'leader-unproven-while-stale')
  assert.deepEqual(step.table.keep.primary, [])
})

test('a switchover request wakes at its time and at its limit', () => {
  const failover = { leader: 'n1', candidate: null, scheduledAtMs: 7000, changed: 12 }
  const view = soundView({ revision: 12, failover })
  const waiting = stepThrough({ view })
  assert.equal(causeOf(waiting), 'open n1')
  assert.equal(waiting.wakeAtMs, 7000)
  const holding = decideRoutes(waiting.state, inputOf({ view, nowMs: 7000 }))
  assert.equal(causeOf(holding), 'switchover-requested')
  assert.equal(holding.wakeAtMs, 7000 + SWITCHOVER_HOLD_MAX_MS)
})

test('penalties double up to their maximum, a burst counts once', () => {
  const lengths: number[] = []
  let state = initialRoutingState()
  let nowMs = 1000
  for (let round = 0; round < 6; round++) {
    const trouble = { member: 'n2', what: 'refused', atMs: nowMs } as const
    const troubles = [trouble, trouble, trouble]
    const step = decideRoutes(state, inputOf({ view: soundView(), nowMs, troubles }))
    lengths.push(step.wakeAtMs! - nowMs)
    state = step.state
    nowMs = step.wakeAtMs!
  }
  assert.deepEqual(lengths, [PENALTY_MIN_MS, 2000, 4000, 8000, PENALTY_MAX_MS, PENALTY_MAX_MS])
})

test('a replica in hot standby is no trouble for readers', () => {
  const troubles = [{ member: 'n2', what: 'in-hot-standby', atMs: 1000 }] as const
  const step = stepThrough({ view: soundView(), policies: [READ], troubles })
  const route = step.table.listeners['read']!.replica
  assert.equal(route.kind === 'open' && route.backends.length, 2)
})

test('the leader can be cancelled at its last address when its member key is gone', () => {
  const view = soundView({ revision: 11, members: [memberNamed('n2')] })
  const { table } = stepThrough({ view: soundView() }, { view })
  assert.deepEqual(
    table.members.map(({ member, role }) => `${member} ${role}`),
    ['n2 replica', 'n1 primary'],
  )
})

test('listeners of a new configuration get their routes with the next step', () => {
  const step = stepThrough({ view: soundView() }, { view: soundView(), policies: [WRITE, READ] })
  assert.equal(step.changed, true)
  assert.equal(step.table.serial, 2)
  assert.equal(step.table.listeners['read']!.replica.kind, 'open')
})
