import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isTag } from '../../../src/core/cluster/members.ts'
import type { DynamicConfig, Member } from '../../../src/core/cluster/types.ts'
import { buildView, MEMBERS_MAX } from '../../../src/core/cluster/view.ts'
import { memberValue, PATRONI_4_1, snapshotOf } from './snapshots.ts'

/** The one member of a cluster whose key has these fields changed, and the faults. */
function readOne(changes: Readonly<Record<string, unknown>>) {
  const view = buildView(snapshotOf({ 'members/n1': memberValue(changes) }))
  return { member: view.members[0], faults: view.faults }
}

function readConfig(config: unknown) {
  const view = buildView(snapshotOf({ config: JSON.stringify(config) }))
  const { raw: _, ...rest } = view.config
  return { config: rest, faults: view.faults.map(({ what }) => what) }
}

test('a cluster of Patroni 4.1', () => {
  const view = buildView(snapshotOf(PATRONI_4_1))
  assert.deepEqual(view.faults, [])
  assert.deepEqual(view.leader, { member: 'pg-2', term: { store: 0, created: 11, changed: 11 } })
  assert.equal(view.systemId, '7509371532107833472')
  assert.equal(view.leaderPosition, 67109056)
  assert.equal(view.failover, null)
  assert.deepEqual(view.sync, { leader: 'pg-2', standbys: ['pg-1'], quorum: 0 })
  assert.deepEqual(view.members[0], {
    name: 'pg-1',
    host: '127.0.0.1',
    port: 5431,
    apiUrl: 'http://127.0.0.1:8001',
    state: 'running',
    role: 'replica',
    version: '4.1.4',
    timeline: 2,
    position: 67109056,
    received: 67109056,
    replayed: 67108960,
    replicationState: 'streaming',
    tags: {},
    paused: false,
    pendingRestart: false,
    changed: 12,
  } satisfies Member)
  const [, second, third] = view.members
  assert.deepEqual([second?.role, second?.pendingRestart], ['primary', true])
  assert.deepEqual([third?.received, third?.paused], [null, true])
  assert.deepEqual(third?.tags, {
    noloadbalance: true,
    clonefrom: true,
    az: 'a2',
    failover_priority: 2,
  })
  const { raw, ...config } = view.config
  assert.deepEqual(config, {
    ttlMs: 20_000,
    loopWaitMs: 5_000,
    paused: false,
    synchronous: 'on',
    failsafe: true,
    standbyCluster: false,
  } satisfies Omit<DynamicConfig, 'raw'>)
  assert.equal(raw['retry_timeout'], 5)
})

test('an empty prefix is a view without anything, and with defaults', () => {
  const view = buildView(snapshotOf({}))
  assert.deepEqual([view.leader, view.members, view.sync, view.faults], [null, [], null, []])
  assert.deepEqual([view.config.ttlMs, view.config.loopWaitMs], [30_000, 10_000])
})

test('members are sorted by name, and only direct children of members/ are members', () => {
  const value = memberValue()
  const keys = { 'members/b': value, 'members/B': value, 'members/a': value, 'members/a/x': value }
  const view = buildView(snapshotOf({ ...keys, 'membersx/c': value, members: value }))
  assert.deepEqual(
    view.members.map(({ name }) => name),
    ['B', 'a', 'b'],
  )
  assert.deepEqual(view.faults, [])
})

test('a leader that is no member stays the leader', () => {
  const view = buildView(snapshotOf({ leader: 'ghost', 'members/n1': memberValue() }))
  assert.equal(view.leader?.member, 'ghost')
  assert.equal(view.members.length, 1)
})

test('roles, with the old spelling', () => {
  for (const role of ['primary', 'replica', 'standby_leader', 'promoted', 'demoted'] as const) {
    assert.equal(readOne({ role }).member?.role, role)
  }
  assert.equal(readOne({ role: 'master' }).member?.role, 'primary')
  for (const role of ['King', 'constructor', 7]) {
    const { member, faults } = readOne({ role })
    assert.deepEqual([member?.role, faults.length], ['unknown', 1])
  }
  assert.equal(readOne({ role: undefined }).member?.role, 'unknown')
})

test('a member without usable conn_url is none, and is a fault', () => {
  for (const conn_url of [undefined, null, '', 7, 'mysql://h/', 'postgres://h:99999/', ['x']]) {
    const { member, faults } = readOne({ conn_url })
    assert.equal(member, undefined)
    assert.equal(faults[0]?.key, 'members/n1')
    assert.match(faults[0]?.what ?? '', /conn_url/)
  }
})

test('a fault never shows a password', () => {
  const { faults } = readOne({ conn_url: 'postgres://app:s3cret@h:99999/' })
  assert.equal(faults.length, 1)
  assert.doesNotMatch(JSON.stringify(faults), /s3cret/)
})

test('of a conn_url with several hosts the first is used, and that is said', () => {
  const { member, faults } = readOne({ conn_url: 'postgresql://[::1]:5001,h2:5002/db' })
  assert.deepEqual([member?.host, member?.port], ['::1', 5001])
  assert.match(faults[0]?.what ?? '', /2 hosts/)
})

// Each line: a field, a value it can't have, and what the member then has.
const WRONG: readonly (readonly [string, unknown, keyof Member, unknown])[] = [
  ['state', 5, 'state', 'unknown'],
  ['state', 'x'.repeat(300), 'state', 'unknown'],
  ['version', { a: 1 }, 'version', null],
  ['timeline', -1, 'timeline', null],
  ['timeline', 1.5, 'timeline', null],
  ['timeline', 2 ** 40, 'timeline', null],
  ['timeline', [], 'timeline', null],
  ['xlog_location', -5, 'position', null],
  ['xlog_location', 1e300, 'position', null],
  ['xlog_location', 2 ** 53, 'position', null],
  ['xlog_location', '0/4000060', 'position', null],
  ['xlog_location', true, 'position', null],
  ['receive_lsn', {}, 'received', null],
  ['replay_lsn', '', 'replayed', null],
  ['replication_state', 1, 'replicationState', null],
  ['tags', 'noloadbalance', 'tags', {}],
  ['tags', ['noloadbalance'], 'tags', {}],
  ['tags', { a: { b: 1 } }, 'tags', {}],
  ['pause', 'perhaps', 'paused', false],
  ['pending_restart', {}, 'pendingRestart', false],
  ['api_url', 'ftp://h/', 'apiUrl', null],
  ['api_url', 8008, 'apiUrl', null],
]

test('a field of the wrong kind is a fault, and the rest of the member stays', () => {
  for (const [name, value, field, expected] of WRONG) {
    const { member, faults } = readOne({ [name]: value })
    const words = `${name} ${JSON.stringify(value)}`
    assert.deepEqual(member?.[field], expected, words)
    assert.equal(faults.length, 1, words)
    assert.equal(faults[0]?.key, 'members/n1')
    assert.match(faults[0]?.what ?? '', new RegExp(name === 'tags' ? 'tag' : name))
    assert.equal(member?.port, 5432)
  }
})

test('zero and null are how a position or timeline is unknown: no fault', () => {
  for (const value of [0, null, undefined, '0']) {
    const { member, faults } = readOne({ xlog_location: value, timeline: value })
    assert.deepEqual([member?.position, member?.timeline, faults], [null, null, []])
  }
  assert.equal(readOne({ xlog_location: '67108960' }).member?.position, 67108960)
})

test('tags as texts', () => {
  const { member, faults } = readOne({ tags: { noloadbalance: 'True', nofailover: 'no', x: null } })
  assert.ok(member)
  assert.deepEqual(faults, [])
  assert.equal(isTag(member, 'noloadbalance'), true)
  assert.equal(isTag(member, 'nofailover'), false)
})

test('names that would hurt plain objects are faults', () => {
  const value = memberValue()
  const view = buildView(
    snapshotOf({
      'members/ok': memberValue({ tags: JSON.parse('{"__proto__":"x","b":1}') }),
      ['members/__proto__']: value,
      'members/': value,
      'members/a\u0000b': value,
      [`members/${'x'.repeat(256)}`]: value,
      leader: '__proto__',
    }),
  )
  assert.deepEqual(
    view.members.map(({ name }) => name),
    ['ok'],
  )
  assert.deepEqual(view.members[0]?.tags, { b: 1 })
  assert.equal(view.leader, null)
  assert.equal(view.faults.length, 6)
})

test('an unreadable key leaves the others alone', () => {
  for (const bad of ['', '{', 'null', '[]', '7', '"x"', '\u0000', '{"a":']) {
    const view = buildView(snapshotOf({ ...PATRONI_4_1, 'members/pg-1': bad, config: bad }))
    assert.deepEqual(
      view.members.map(({ name }) => name),
      ['pg-2', 'pg-3'],
      bad,
    )
    assert.equal(view.config.ttlMs, 30_000)
    assert.deepEqual(view.faults.map(({ key }) => key).sort(), ['config', 'members/pg-1'], bad)
    assert.equal(view.leader?.member, 'pg-2')
  }
})

test('sizes, depths and numbers of things have limits', () => {
  const huge = `{"x":"${'y'.repeat(1 << 20)}"}`
  const deep = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`
  const view = buildView(snapshotOf({ config: huge, sync: deep, status: deep, leader: huge }))
  assert.deepEqual(view.faults.map(({ key }) => key).sort(), ['config', 'leader', 'status', 'sync'])
  assert.ok(JSON.stringify(view).length < 2000)

  const many = Object.fromEntries(
    Array.from({ length: MEMBERS_MAX + 5 }, (_, n) => [`members/n${10_000 + n}`, memberValue()]),
  )
  const last = `n${10_000 + MEMBERS_MAX + 4}`
  const crowd = buildView(snapshotOf({ ...many, leader: last }))
  assert.equal(crowd.members.length, MEMBERS_MAX)
  assert.ok(
    crowd.members.some(({ name }) => name === last),
    'the leader is among them',
  )
  assert.equal(buildView(snapshotOf(many)).members.length, MEMBERS_MAX)

  const broken = Object.fromEntries(Object.keys(many).map((key) => [key, '{']))
  const { faults } = buildView(snapshotOf(broken))
  assert.equal(faults.length, 101)
  assert.match(faults.at(-1)?.what ?? '', /further faults/)
  const tags = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`t${n}`, n]))
  assert.equal(Object.keys(readOne({ tags }).member?.tags ?? {}).length, 100)
})

test('the leader position: status as JSON or number, else optime/leader', () => {
  const position = (keys: Record<string, string>) => {
    const view = buildView(snapshotOf(keys))
    return [view.leaderPosition, view.faults.length]
  }
  assert.deepEqual(position({ status: '{"optime":5,"slots":{"a":1}}' }), [5, 0])
  assert.deepEqual(position({ status: '{"optime":"5"}' }), [5, 0])
  assert.deepEqual(position({ status: '67109056' }), [67109056, 0])
  assert.deepEqual(position({ 'optime/leader': '67109056' }), [67109056, 0])
  assert.deepEqual(position({ status: '7', 'optime/leader': '5' }), [7, 0])
  assert.deepEqual(position({ status: '{}' }), [null, 0])
  assert.deepEqual(position({ status: '{"optime":-1}' }), [null, 1])
  assert.deepEqual(position({ status: 'true' }), [null, 1])
  assert.deepEqual(position({ status: '[5]' }), [null, 1])
  assert.deepEqual(position({ status: 'x', 'optime/leader': '5' }), [null, 1])
  assert.deepEqual(position({ 'optime/leader': '0/5' }), [null, 1])
})

test('the system identifier, empty while bootstrapping', () => {
  const id = (initialize: string) => {
    const view = buildView(snapshotOf({ initialize }))
    return [view.systemId, view.faults.length]
  }
  assert.deepEqual(id('7509371532107833472'), ['7509371532107833472', 0])
  assert.deepEqual(id(''), [null, 0])
  assert.deepEqual(id('123'), [null, 1])
  assert.deepEqual(id('75093715321078334x'), [null, 1])
})

test('the sync key', () => {
  const sync = (value: string) => buildView(snapshotOf({ sync: value })).sync
  assert.deepEqual(sync('{"leader":"a","quorum":1,"sync_standby":"b, c,,"}'), {
    leader: 'a',
    standbys: ['b', 'c'],
    quorum: 1,
  })
  // Patroni 3.0 knows no quorum.
  assert.deepEqual(sync('{"leader":"a","sync_standby":null}'), {
    leader: 'a',
    standbys: [],
    quorum: 0,
  })
  assert.deepEqual(sync('{"leader":"a","sync_standby":["b"],"quorum":-4}'), {
    leader: 'a',
    standbys: [],
    quorum: 0,
  })
  for (const nothing of ['', '{}', '{"leader":null,"sync_standby":"b"}', '{', '{"leader":5}']) {
    assert.equal(sync(nothing), null, nothing)
  }
})

test('the failover key', () => {
  const failover = (value: string) => {
    const { failover: request, faults } = buildView(snapshotOf({ failover: value }))
    return request && [request.leader, request.candidate, request.scheduledAtMs, faults.length]
  }
  assert.deepEqual(failover('{"leader":"a","member":"b"}'), ['a', 'b', null, 0])
  assert.deepEqual(failover('{"member":"b"}'), [null, 'b', null, 0])
  assert.deepEqual(failover('{"leader":"a","member":"","scheduled_at":""}'), ['a', null, null, 0])
  const time = Date.UTC(2026, 10, 20, 2, 57, 51)
  const scheduled = (text: string) => failover(`{"leader":"a","scheduled_at":"${text}"}`)
  assert.deepEqual(scheduled('2026-11-20T04:57:51+02:00'), ['a', null, time, 0])
  assert.deepEqual(scheduled('2026-11-20 02:57:51Z'), ['a', null, time, 0])
  assert.deepEqual(scheduled('2026-11-20T02:57:51.250000+00:00'), ['a', null, time + 250, 0])
  assert.deepEqual(failover('a:b'), ['a', 'b', null, 0])
  assert.deepEqual(failover('a:'), ['a', null, null, 0])
  const nothing = ['', '{}', ':', '{"scheduled_at":"2026-11-20T04:57:51+02:00"}', '{"leader":5}']
  for (const value of nothing) assert.equal(failover(value), null, value)
})

test('a switchover whose time is unreadable is not one for now', () => {
  for (const time of ['tomorrow', '2026-11-20T04:57:51', '2026-99-20T04:57:51Z', 5, [], {}]) {
    const value = JSON.stringify({ leader: 'a', scheduled_at: time })
    const view = buildView(snapshotOf({ failover: value }))
    assert.equal(view.failover, null)
    assert.equal(view.faults.length, 1)
  }
})

test('configuration: spellings and defaults', () => {
  const base = {
    ttlMs: 30_000,
    loopWaitMs: 10_000,
    paused: false,
    synchronous: 'off',
    failsafe: false,
    standbyCluster: false,
  }
  assert.deepEqual(readConfig({}), { config: base, faults: [] })
  for (const on of [true, 'true', 'On', 'YES', 1, '1']) {
    assert.deepEqual(readConfig({ pause: on, failsafe_mode: on, synchronous_mode: on }), {
      config: { ...base, paused: true, failsafe: true, synchronous: 'on' },
      faults: [],
    })
  }
  for (const off of [false, 'off', 'No', 0, null]) {
    assert.deepEqual(readConfig({ pause: off, synchronous_mode: off }).config, base)
  }
  assert.equal(readConfig({ synchronous_mode: 'Quorum' }).config.synchronous, 'quorum')
  assert.equal(readConfig({ ttl: '10', loop_wait: 2 }).config.ttlMs, 10_000)
})

test('configuration: absurd values are faults and count as the default', () => {
  for (const ttl of [0, -5, 1e9, 0.5, 'soon', [], {}, true]) {
    const { config, faults } = readConfig({ ttl, loop_wait: ttl, pause: 'perhaps' })
    assert.deepEqual([config.ttlMs, config.loopWaitMs, config.paused], [30_000, 10_000, false])
    assert.equal(faults.length, 3)
  }
  assert.equal(readConfig({ synchronous_mode: 'sometimes' }).faults.length, 1)
})

test('a standby cluster is one with a source, and has no synchronous mode', () => {
  const standby = (section: unknown) =>
    readConfig({ standby_cluster: section, synchronous_mode: 'quorum' }).config
  for (const section of [{ host: 'h' }, { port: 5432 }, { restore_command: 'cp' }]) {
    assert.equal(standby(section).standbyCluster, true)
    assert.equal(standby(section).synchronous, 'off')
  }
  for (const section of [{}, { host: '' }, { create_replica_methods: [] }, 'h', [], null]) {
    assert.equal(standby(section).standbyCluster, false)
    assert.equal(standby(section).synchronous, 'quorum')
  }
})
