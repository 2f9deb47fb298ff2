import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  isRunningPrimary,
  isStreamingReplica,
  isTag,
  lagBytes,
  syncStandbys,
} from '../../../src/core/cluster/members.ts'
import type { ClusterView, TagValue } from '../../../src/core/cluster/types.ts'
import { buildView } from '../../../src/core/cluster/view.ts'
import { member, snapshotOf } from './snapshots.ts'

const emptyView = buildView(snapshotOf({}))

test('a running primary is both', () => {
  assert.equal(isRunningPrimary(member({ role: 'primary' })), true)
  assert.equal(isRunningPrimary(member({ role: 'primary', state: 'stopping' })), false)
  assert.equal(isRunningPrimary(member({ role: 'promoted' })), false)
  assert.equal(isRunningPrimary(member({ role: 'standby_leader' })), false)
})

// replication_state came into the member key with Patroni 3.0.4 ("Make it visible replication state
// on standbys").
const STREAMING: readonly (readonly [string | null, string | null, boolean])[] = [
  ['3.0.2', null, true],
  ['3.0.3', null, true],
  ['2.1.7', null, true],
  ['3.0.4', null, false],
  ['3.1', null, false],
  ['4.1.4', null, false],
  ['10.0.0', null, false],
  ['4.1.4', 'streaming', true],
  ['4.1.4', 'in archive recovery', false],
  ['3.0.2', 'in archive recovery', false],
  [null, null, true],
  ['nonsense', null, true],
  ['nonsense', 'starting up', false],
]

test('a replica must say that it streams if its version says so at all', () => {
  for (const [version, replicationState, expected] of STREAMING) {
    const words = `${version} ${replicationState}`
    assert.equal(isStreamingReplica(member({ version, replicationState })), expected, words)
  }
  assert.equal(isStreamingReplica(member({ state: 'starting' })), false)
  assert.equal(isStreamingReplica(member({ role: 'primary' })), false)
  assert.equal(isStreamingReplica(member({ role: 'standby_leader' })), false)
})

test('lag is what the leader wrote and the member has not replayed', () => {
  const view: ClusterView = { ...emptyView, leaderPosition: 5000 }
  assert.equal(lagBytes(view, member({ replayed: 4000, received: 4900, position: 4900 })), 1000)
  assert.equal(lagBytes(view, member({ replayed: null, position: 4900 })), 100)
  assert.equal(lagBytes(view, member({ replayed: 6000 })), 0)
  assert.equal(lagBytes(view, member({ replayed: null, position: null })), null)
  assert.equal(lagBytes(emptyView, member()), null)
})

test('synchronous standbys are found in any case, and never the leader', () => {
  const members = ['n1', 'N2', 'n3', 'n4'].map((name) => member({ name }))
  const sync = { leader: 'n1', standbys: ['N1', 'n2', 'N3', 'gone'], quorum: 0 }
  const names = (view: ClusterView) => syncStandbys(view).map(({ name }) => name)
  assert.deepEqual(names({ ...emptyView, members, sync }), ['N2', 'n3'])
  const leader = { member: 'n3', term: { store: 0, created: 1, changed: 1 } }
  assert.deepEqual(names({ ...emptyView, members, sync, leader }), ['N2'])
  assert.deepEqual(names({ ...emptyView, members }), [])
})

const TAGS: readonly (readonly [TagValue, boolean])[] = [
  [true, true],
  [false, false],
  ['true', true],
  ['True', true],
  ['YES', true],
  ['on', true],
  ['1', true],
  [1, true],
  [2, true],
  ['while we look into it', true],
  ['false', false],
  ['Off', false],
  ['no', false],
  ['0', false],
  [0, false],
  ['', false],
]

test('tags are booleans in many spellings', () => {
  for (const [value, expected] of TAGS) {
    assert.equal(isTag(member({ tags: { noloadbalance: value } }), 'noloadbalance'), expected)
  }
})

test('what every object inherits is not a tag', () => {
  for (const name of ['noloadbalance', 'constructor', '__proto__', 'toString']) {
    assert.equal(isTag(member(), name), false, name)
  }
})
