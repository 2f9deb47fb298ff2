/** Going on by a table of an earlier control process: as long as the leader's word lasts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  decideRoutes,
  initialRoutingState,
  type Sighting,
} from '../../../src/core/routing/decide.ts'
import { chooseFound, decideByFound, type Found } from '../../../src/core/routing/found.ts'
import { STALE_TRUST_MS } from '../../../src/core/routing/outage.ts'
import type { RouteTable } from '../../../src/core/routing/types.ts'
import { CONFIG, inputOf, soundView, viewOf, WRITE } from './build.ts'

const TTL_MS = 10_000
const ANY = { ...WRITE, name: 'any', target: 'any' } as const
const READ = { ...WRITE, name: 'read', target: 'replica', fallback: 'primary' } as const
const policies = [WRITE, ANY, READ]
const view = soundView({ config: { ...CONFIG, ttlMs: TTL_MS } })
const { table: served } = decideRoutes(initialRoutingState(), inputOf({ view, policies }))
const etcd = { kind: 'lost', sinceMs: 0, why: 'gone' } as const

function play(table: RouteTable, ...steps: [number, Sighting['answer']?][]) {
  let found: Found = chooseFound(null, table)
  let last: RouteTable | null = null
  let step = null
  for (const [nowMs, answer] of steps) {
    const sightings = answer === undefined ? [] : [{ member: 'n1', atMs: nowMs, answer }]
    step = decideByFound(found, last, { nowMs, etcd, sightings, policies })
    found = step.found
    last = step.table
  }
  return step!
}

function causeOf({ listeners }: RouteTable, name = 'write'): string {
  const route = listeners[name]![name === 'any' ? 'any' : 'primary']
  return route.kind === 'held' ? route.cause : route.backends.map(({ role }) => role).join(' ')
}

test('it is served as it is, marked stale and numbered anew, and its leader is asked', () => {
  const step = play(served, [1000])
  assert.deepEqual(step.table, { ...served, stale: true, serial: served.serial + 1 })
  assert.equal(step.changed, true)
  const apiUrl = 'http://n1.test:8008'
  assert.deepEqual(step.checks, [{ member: 'n1', apiUrl, path: '/primary', everyMs: 500 }])
  assert.equal(step.wakeAtMs, 1000 + STALE_TRUST_MS)
  assert.deepEqual(
    step.notes.map(({ because }) => because),
    ['etcd-lost', 'new-leader', 'write-route-open', 'readers-changed', 'readers-changed'],
  )
})

test('a silent leader: writers wait after two seconds, sessions end after a ttl', () => {
  const held = play(served, [1000], [1000 + STALE_TRUST_MS])
  assert.equal(causeOf(held.table), 'leader-unproven-while-stale')
  assert.equal(causeOf(held.table, 'any'), 'replica replica')
  assert.deepEqual(held.table.keep, served.keep)
  assert.equal(held.table.serial, served.serial + 2)
  assert.equal(held.wakeAtMs, 1000 + TTL_MS)
  const cut = play(served, [1000], [1000 + TTL_MS])
  assert.deepEqual(cut.table.keep.primary, [])
  assert.equal(cut.wakeAtMs, null)
  assert.ok(cut.notes.some(({ because }) => because === 'write-sessions-cut'))
})

test('its word that it leads opens again and lasts as long as ever', () => {
  const leads = { kind: 'primary', holdsLock: true } as const
  const denies = { kind: 'primary', holdsLock: false } as const
  assert.equal(causeOf(play(served, [1000], [9000], [9500, leads]).table), 'primary')
  assert.equal(causeOf(play(served, [1000], [9500, leads], [11_499]).table), 'primary')
  const denied = play(served, [1000], [2000, denies], [3000, denies])
  assert.equal(causeOf(denied.table), 'leader-unproven-while-stale')
})

test('a leader in recovery is left at once', () => {
  const step = play(served, [1000], [1100, { kind: 'standby' }])
  assert.equal(causeOf(step.table), 'leader-not-out-of-recovery')
  assert.deepEqual(step.table.keep.primary, [])
})

test('what was held stays held, what was not known stays unknown', () => {
  const { table: vacant } = decideRoutes(initialRoutingState(), inputOf({ view: viewOf() }))
  const leads = { kind: 'primary', holdsLock: true } as const
  const step = play(vacant, [1000, leads], [60_000])
  assert.equal(causeOf(step.table), 'no-leader')
  assert.equal(step.table.keep.primary, null)
  assert.deepEqual(step.checks, [])
})

test('of several tables the newest counts: by term, then by number', () => {
  const later = { ...served, serial: 9 }
  const newer = { ...served, term: { store: 0, created: 6, changed: 6 } }
  const choose = (...tables: RouteTable[]) => tables.reduce<Found | null>(chooseFound, null)?.table
  assert.equal(choose(served, later), later)
  assert.equal(choose(later, served), later)
  assert.equal(choose(later, newer), newer)
  assert.equal(choose(newer, later), newer)
  assert.equal(choose(newer, { ...later, term: null }), newer)
})
