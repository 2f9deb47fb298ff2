/**
 * What holds after every step of any story. A dumb twin keeps the plain facts (who took the key last,
 * what proved or denied it when) and judges each table by them.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'
import type { ClusterView, Member } from '../../../src/core/cluster/types.ts'
import { mustCut } from '../../../src/core/routing/cut.ts'
import { decideRoutes } from '../../../src/core/routing/decide.ts'
import type { Route, RouteTable } from '../../../src/core/routing/types.ts'
import { playLine } from '../../scenario/routing/events.ts'
import { World } from '../../scenario/routing/world.ts'

const RUNS = 500
const NAMES = ['n1', 'n2', 'n3'] as const

/** `@` is whoever leads: most of what happens concerns the leader. */
const name = fc.constantFrom(...NAMES, '@', '@', '@')
const line = (...parts: (string | fc.Arbitrary<string | number>)[]) =>
  fc
    .tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : part)))
    .map((words) => words.filter((word) => word !== '').join(' '))
const words = (...all: string[]) => fc.constantFrom(...all)
const agoMs = fc.integer({ min: 0, max: 40 }).map((ms) => `${ms}ms`)
const passing = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 40_000 }))

const STATES = words('running', 'running', 'running', 'stopping', 'starting')
const ROLES = words('primary', 'primary', 'replica', 'promoted', 'standby_leader')
const ANSWERS = words(
  'primary',
  'primary',
  'leading',
  'denying',
  'standby',
  'standby',
  'not-running',
  'unreachable',
)
const TROUBLES = words('refused', 'reset', 'starting-up', 'in-hot-standby', 'session-lost')

const event = fc.oneof(
  { weight: 14, arbitrary: words('sighting @ primary ago 0ms', 'sighting @ leading ago 0ms') },
  { weight: 8, arbitrary: words('member @ primary running', 'member @ primary running; config') },
  { weight: 3, arbitrary: line('leader', fc.constantFrom(...NAMES)) },
  { weight: 1, arbitrary: line('leader gone') },
  { weight: 1, arbitrary: line('past', fc.nat({ max: 30 })) },
  { weight: 8, arbitrary: line('member', name, ROLES, STATES) },
  { weight: 1, arbitrary: line('member', name, 'gone') },
  { weight: 1, arbitrary: words('member @ primary running at=moved') },
  { weight: 12, arbitrary: line('sighting', name, ANSWERS, 'ago', agoMs) },
  { weight: 3, arbitrary: line('trouble', name, TROUBLES, 'ago', agoMs) },
  { weight: 1, arbitrary: words('etcd lost', 'etcd lost ago 40s', 'etcd live', 'etcd live') },
  {
    weight: 4,
    arbitrary: line(
      'advance',
      passing.map((ms) => `${ms}ms`),
    ),
  },
  { weight: 1, arbitrary: line('switchover', name, 'to', name) },
  { weight: 1, arbitrary: words('switchover cleared', 'store restored', 'config standby-cluster') },
  { weight: 2, arbitrary: words('config', 'config paused', 'config ttl=1s') },
)

/** The plain facts of one term. */
type Facts = { leader: string | null; seenAtMs: number; provenAtMs: number; standbyAtMs: number }

class Twin {
  readonly world = new World()
  readonly past: ClusterView[] = []
  facts: Facts = { leader: null, seenAtMs: 0, provenAtMs: -1, standbyAtMs: -1 }
  private key = ''
  private weighed = 0

  constructor() {
    playLine(this.world, 'listener write primary')
    playLine(this.world, 'listener read replica fallback=primary')
    playLine(this.world, 'listener any any')
  }

  play(event: string): void {
    const text = event.replaceAll('@', this.world.view.leader?.member ?? 'n1')
    const before = this.world.last?.table ?? null
    if (text.startsWith('past')) this.playPast(Number(text.slice(5)))
    else playLine(this.world, text)
    this.learn(text)
    checkChanged(before, this.world, text)
    this.check()
  }

  /** Any view of the past, whole, comes again: it must not matter. */
  private playPast(back: number): void {
    this.world.nowMs += 1
    const old = this.past.at(-1 - (back % Math.max(1, this.past.length)))
    if (old === undefined || !this.world.hasView) return this.world.step()
    const { state } = this.world
    const now = decideRoutes(state, this.world.inputOf())
    this.world.step({}, old)
    assert.deepEqual(this.world.last!.table, now.table, 'a late view changed the routes')
    assert.deepEqual(this.world.last!.state.write, now.state.write)
  }

  private learn(text: string): void {
    const { view, nowMs, hasView } = this.world
    if (hasView && this.past.at(-1) !== view) this.past.push(view)
    if (view.leader === null) this.key = ''
    else this.learnLeader(view.leader.member, `${view.store}/${view.leader.term.created}`)
    const [verb, who, kind, , ago] = text.split(' ')
    if (verb !== 'sighting' || who !== this.facts.leader) return
    const atMs = nowMs - Number.parseInt(ago!, 10)
    if (atMs < this.facts.seenAtMs) return
    if (kind === 'primary' || kind === 'leading') this.prove(atMs)
    if (kind === 'standby') this.facts.standbyAtMs = Math.max(this.facts.standbyAtMs, atMs)
  }

  private learnLeader(leader: string, key: string): void {
    const { view, nowMs } = this.world
    const isFirst = this.facts.leader === null && this.past.length === 1
    if (key !== this.key) {
      this.facts = { leader, seenAtMs: nowMs, provenAtMs: -1, standbyAtMs: -1 }
      this.weighed = isFirst ? 0 : view.leader!.term.created
    }
    this.key = key
    const own = view.members.find((one) => one.name === leader)
    if (own === undefined || own.changed <= this.weighed) return
    this.weighed = own.changed
    if (isSound(own)) this.prove(nowMs)
  }

  private prove(atMs: number): void {
    this.facts.provenAtMs = Math.max(this.facts.provenAtMs, atMs)
  }

  private check(): void {
    const { table } = this.world.last!
    checkWriteRoute(table, this.world.view, this.facts)
    checkCuts(table, this.facts.leader)
    checkWake(this.world)
  }
}

function isSound({ role, state }: Member): boolean {
  return role === 'primary' && state === 'running'
}

/** How often each conditional check was really made: none may pass by never being reached. */
const reached = { open: 0, deposed: 0, replica: 0 }

function checkWriteRoute(table: RouteTable, view: ClusterView, facts: Facts): void {
  const route = table.listeners['write']!.primary
  if (route.kind === 'held') return
  reached.open++
  assert.equal(view.leader?.member, facts.leader)
  assert.deepEqual(
    route.backends.map(({ member }) => member),
    [facts.leader],
  )
  assert.deepEqual(table.term, view.leader?.term)
  assert.ok(facts.provenAtMs >= facts.seenAtMs, 'open without a proof of this term')
  assert.ok(facts.provenAtMs > facts.standbyAtMs, 'open after it was seen in recovery')
}

function checkCuts(table: RouteTable, leader: string | null): void {
  for (const member of NAMES) {
    const address = { host: `${member}.test`, port: 5432 }
    const isCut = mustCut(table.keep, { member, ...address, role: 'primary' })
    if (leader === null || member === leader) continue
    reached.deposed++
    assert.ok(isCut, `${member} may still write`)
  }
  const routes = Object.values(table.listeners).flatMap((targets) => Object.values(targets))
  for (const backend of routes.flatMap(backendsOf)) {
    assert.ok(!mustCut(table.keep, backend), `sent to ${backend.member} only to be cut`)
    if (backend.role !== 'replica') continue
    reached.replica++
    assert.notEqual(backend.member, table.leader)
  }
}

function backendsOf(route: Route) {
  return route.kind === 'open' ? route.backends : []
}

/** `changed` tells the truth, and the same input again changes nothing, also after JSON. */
function checkChanged(before: RouteTable | null, world: World, text: string): void {
  const { table, changed } = world.last!
  const isSingle = !text.startsWith('advance')
  if (isSingle && before !== null) {
    const isEqual =
      JSON.stringify({ ...before, serial: 0 }) === JSON.stringify({ ...table, serial: 0 })
    assert.equal(changed, !isEqual)
    assert.equal(table.serial, before.serial + (changed ? 1 : 0))
  }
  const again = decideRoutes(JSON.parse(JSON.stringify(world.state)), world.inputOf())
  assert.equal(again.changed, false)
  assert.deepEqual(again.table, table)
  assert.deepEqual(again.notes, [])
}

function checkWake(world: World): void {
  const wakeAtMs = world.last!.wakeAtMs
  assert.ok(wakeAtMs === null || wakeAtMs > world.nowMs)
}

test('the safety rules hold after every event of any story', () => {
  fc.assert(
    fc.property(fc.array(event, { minLength: 1, maxLength: 60, size: 'max' }), (lines) => {
      const twin = new Twin()
      for (const text of lines) twin.play(text)
    }),
    { numRuns: RUNS },
  )
})

test('the stories of this test are worth telling: the write route is open after many events', () => {
  const stories = fc.sample(fc.array(event, { minLength: 20, maxLength: 60, size: 'max' }), {
    numRuns: 40,
    seed: 1,
  })
  const opens = stories.flatMap((lines) => {
    const twin = new Twin()
    return lines.map((text) => {
      twin.play(text)
      return twin.world.last!.table.listeners['write']!.primary.kind === 'open'
    })
  })
  const share = opens.filter((isOpen) => isOpen).length / opens.length
  assert.ok(share > 0.1, `open after ${(share * 100).toFixed(1)} % of the events`)
})

after(() => {
  for (const [check, times] of Object.entries(reached)) assert.ok(times > 100, `${check}: ${times}`)
})
