/** Whatever stands in etcd, the view is complete, bounded, and whole where the keys are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  isRunningPrimary,
  isStreamingReplica,
  isTag,
  lagBytes,
  syncStandbys,
} from '../../../src/core/cluster/members.ts'
import type { ClusterView } from '../../../src/core/cluster/types.ts'
import { buildView } from '../../../src/core/cluster/view.ts'
import { PATRONI_4_1, snapshotOf } from './snapshots.ts'

const KEYS = Object.keys(PATRONI_4_1)
const whole = buildView(snapshotOf(PATRONI_4_1))

/** What every reader of a view may rely on. */
function checkView(view: ClusterView): void {
  assert.deepEqual(JSON.parse(JSON.stringify({ ...view, config: null })).members, view.members)
  for (const member of view.members) {
    assert.ok(member.host.length > 0 && member.port >= 1 && member.port <= 65535)
    for (const position of [member.position, member.received, member.replayed]) {
      assert.ok(position === null || (Number.isSafeInteger(position) && position > 0))
    }
    assert.ok(member.apiUrl === null || /^https?:\/\/[^/]+$/.test(member.apiUrl))
    const lag = lagBytes(view, member)
    assert.ok(lag === null || lag >= 0)
    assert.ok(!(isRunningPrimary(member) && isStreamingReplica(member)))
    assert.equal(typeof isTag(member, 'noloadbalance'), 'boolean')
  }
  assert.ok(view.config.ttlMs >= 1000 && view.config.loopWaitMs >= 1000)
  assert.ok(syncStandbys(view).length <= view.members.length)
  for (const { key, what } of view.faults) assert.ok(key.length <= 61 && what.length < 300)
}

/** JSON with the field names and words that the readers look for. */
const word = fc.constantFrom(
  ...['conn_url', 'api_url', 'state', 'role', 'version', 'tags', 'xlog_location', 'timeline'],
  ...['replay_lsn', 'leader', 'sync_standby', 'quorum', 'member', 'scheduled_at', 'optime'],
  ...['ttl', 'loop_wait', 'pause', 'synchronous_mode', 'standby_cluster', 'host', '__proto__'],
  ...['noloadbalance', 'constructor', 'replication_state', 'pending_restart', 'failsafe_mode'],
)
const scalar = fc.oneof(
  fc.constantFrom('postgres://h:1/', 'running', 'primary', 'master', 'n1', 'true', '7', 'a,b'),
  fc.constantFrom('2026-11-20T04:57:51+00:00', 'http://h/patroni', '4.1.4', ''),
  fc.constantFrom(null, true, false, 0, -1, 1e308, 2 ** 53, 0.5, 67108960),
  fc.string({ unit: 'binary' }),
)
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    { weight: 3, arbitrary: scalar },
    { weight: 2, arbitrary: fc.dictionary(fc.oneof(word, fc.string()), tie('value')) },
    { weight: 1, arbitrary: fc.array(tie('value'), { maxLength: 4 }) },
  ),
})).value

const bytes = fc.uint8Array({ maxLength: 200 }).map((raw) => Buffer.from(raw).toString('utf8'))
const cut = fc
  .tuple(fc.constantFrom(...Object.values(PATRONI_4_1)), fc.nat(400))
  .map(([value, end]) => value.slice(0, end))
const garbage = fc.oneof(
  { weight: 4, arbitrary: json.map((value) => JSON.stringify(value)) },
  { weight: 2, arbitrary: fc.dictionary(word, scalar).map((value) => JSON.stringify(value)) },
  bytes,
  cut,
  fc.string({ unit: 'binary' }),
)
const key = fc.oneof(
  fc.constantFrom(...KEYS, 'optime/leader', 'members/', 'members/__proto__', 'members/a/b'),
  fc.string({ unit: 'binary' }).map((name) => `members/${name}`),
  fc.string(),
)

test('random keys and values never throw', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(key, garbage), { maxLength: 12 }),
      fc.integer(),
      (pairs, revision) => {
        const snapshot = snapshotOf(Object.fromEntries(pairs))
        const view = buildView({ ...snapshot, revision }, whole)
        checkView(view)
        checkView(buildView(snapshot, view))
      },
    ),
    { numRuns: 2000 },
  )
})

test('garbage in one key spoils nothing that comes from the others', () => {
  fc.assert(
    fc.property(fc.constantFrom(...KEYS), garbage, (spoiled, value) => {
      const view = buildView(snapshotOf({ ...PATRONI_4_1, [spoiled]: value }))
      checkView(view)
      const others = (from: ClusterView) =>
        from.members.filter(({ name }) => `members/${name}` !== spoiled)
      assert.deepEqual(others(view), others(whole))
      if (spoiled !== 'leader') assert.deepEqual(view.leader, whole.leader)
      if (spoiled !== 'sync') assert.deepEqual(view.sync, whole.sync)
      if (spoiled !== 'config') assert.deepEqual(view.config, whole.config)
      if (spoiled !== 'status') assert.equal(view.leaderPosition, whole.leaderPosition)
      for (const fault of view.faults) assert.equal(fault.key, spoiled)
    }),
    { numRuns: 1000 },
  )
})

test('every cut of every value of a real cluster', () => {
  for (const [name, value] of Object.entries(PATRONI_4_1)) {
    for (let end = 0; end < value.length; end += 1) {
      checkView(buildView(snapshotOf({ ...PATRONI_4_1, [name]: value.slice(0, end) })))
    }
  }
})
