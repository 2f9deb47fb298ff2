/** The pure parts: what a proof owes, which store it is, where and when to try next. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { KeyValue } from '../../../src/core/cluster/types.ts'
import { EtcdError, toEtcdError } from '../../../src/io/etcd/errors.ts'
import { prefixEnd, readKey, readRevision } from '../../../src/io/etcd/load.ts'
import { otherStore, owedRevision } from '../../../src/io/etcd/proof.ts'
import { attemptMs, FIRST_TRY, planRetry, retryDelayMs } from '../../../src/io/etcd/retry.ts'
import { adoptLoad, applyChanges, type Known, noteRevision } from '../../../src/io/etcd/view.ts'
import type { Change } from '../../../src/io/etcd/watch.ts'

const entry = (key: string, modRevision: number, createRevision = modRevision): KeyValue => ({
  key,
  value: `${key}@${modRevision}`,
  createRevision,
  modRevision,
  lease: '0',
})
const load = (revision: number, entries: readonly KeyValue[], clusterId = 'A') => ({
  clusterId,
  revision,
  entries: new Map(entries.map((e) => [e.key, e])),
})

describe('a proof', () => {
  const proof = { clusterId: 'A', revision: 20, newest: 0, keys: 3 }
  test('owes nothing when it shows what the view shows, or is older', () => {
    assert.equal(owedRevision({ revision: 10, keys: 3 }, proof), null)
    assert.equal(owedRevision({ revision: 10, keys: 3 }, { ...proof, newest: 10 }), null)
    assert.equal(owedRevision({ revision: 20, keys: 9 }, { ...proof, newest: 15 }), null)
  })
  test('owes the newest change, or at least one when a key is gone', () => {
    assert.equal(owedRevision({ revision: 10, keys: 3 }, { ...proof, newest: 15 }), 15)
    assert.equal(owedRevision({ revision: 10, keys: 4 }, proof), 11)
  })
  test('of another store is told by cluster or by a revision that went back', () => {
    assert.equal(otherStore({ revision: 20, clusterId: 'A' }, proof), null)
    assert.equal(otherStore({ revision: 21, clusterId: 'A' }, proof)?.code, 'store-changed')
    assert.equal(otherStore({ revision: 20, clusterId: 'B' }, proof)?.code, 'store-changed')
  })
})

describe('a view', () => {
  const first = adoptLoad(null, load(10, [entry('a', 5), entry('b', 7, 3)]))

  test('counts a store when revisions go back, the cluster changes or history differs', () => {
    const storeOf = (next: ReturnType<typeof load>, before = first) =>
      adoptLoad(before, next).snapshot.store
    assert.equal(storeOf(load(10, [entry('a', 5), entry('b', 7, 3)])), 0)
    assert.equal(storeOf(load(30, [entry('a', 12, 5)])), 0)
    assert.equal(storeOf(load(9, [])), 1)
    assert.equal(storeOf(load(15, []), noteRevision(first, 16)), 1)
    assert.equal(storeOf(load(10, [entry('a', 5), entry('b', 7, 3)], 'B')), 1)
    assert.equal(storeOf(load(30, [entry('a', 6)])), 1)
    assert.equal(storeOf(load(30, [entry('b', 7, 4)])), 1)
    assert.equal(storeOf(load(30, [entry('c', 10)])), 1)
  })

  test('is the same by watching as by loading, and never changes what it handed out', () => {
    const change = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), gone: fc.boolean() })
    fc.assert(
      fc.property(fc.array(change), fc.array(fc.nat(3)), (changes, cuts) => {
        const twin = new Map<string, KeyValue>(first.snapshot.entries)
        const events: Change[] = changes.map(({ key, gone }, at) => {
          const revision = 11 + at
          if (gone) twin.delete(key)
          else twin.set(key, entry(key, revision))
          return gone
            ? { kind: 'delete', revision, key }
            : { kind: 'put', revision, entry: entry(key, revision) }
        })
        const copy = new Map(first.snapshot.entries)
        let known: Known = first
        for (const cut of cuts) known = applyChanges(known, events.splice(0, cut))
        known = applyChanges(known, events)
        assert.deepEqual(new Map(known.snapshot.entries), twin)
        assert.deepEqual(new Map(first.snapshot.entries), copy)
        assert.equal(known.snapshot.revision, 10 + changes.length)
        assert.equal(adoptLoad(known, load(known.highest, [...twin.values()])).snapshot.store, 0)
      }),
    )
  })
})

describe('trying again', () => {
  test('goes round at once, then ever slower, up to a second', () => {
    let retry = FIRST_TRY
    const delays: number[] = []
    const endpoints: number[] = []
    for (let at = 0; at < 24; at++) {
      retry = planRetry(retry, 'unreachable', false, 3)
      delays.push(retryDelayMs(retry, 3, 0))
      endpoints.push(retry.endpoint)
    }
    assert.deepEqual(endpoints.slice(0, 6), [1, 2, 0, 1, 2, 0])
    assert.deepEqual(delays.slice(0, 9), [0, 0, 50, 0, 0, 100, 0, 0, 200])
    assert.equal(delays.at(-1), 1000)
    assert.equal(attemptMs(FIRST_TRY, 3), 700)
    assert.equal(attemptMs(retry, 3), 4000)
  })
  test('stays where only our own state is out of date, and starts over after a proof', () => {
    const tired = { endpoint: 1, failures: 9 }
    assert.deepEqual(planRetry(tired, 'compacted', true, 3), { endpoint: 1, failures: 1 })
    assert.deepEqual(planRetry(tired, 'watch-behind', false, 3), { endpoint: 2, failures: 10 })
  })
  test('never waits more than a second or, while failing, less than 25 ms a round', () => {
    fc.assert(
      fc.property(
        fc.nat(200),
        fc.integer({ min: 1, max: 7 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (failures, endpoints, random) => {
          const delays = Array.from({ length: endpoints }, (_, at) =>
            retryDelayMs(
              { endpoint: 0, failures: failures + 2 + endpoints + at },
              endpoints,
              random,
            ),
          )
          const total = delays.reduce((sum, ms) => sum + ms, 0)
          assert.ok(total >= 25 && total <= 1000, `${total}`)
        },
      ),
    )
  })
})

describe('reading', () => {
  test('the end of a prefix', () => {
    const end = (...bytes: number[]) => [...prefixEnd(Buffer.from(bytes))]
    assert.deepEqual(end(0x61, 0x2f), [0x61, 0x30])
    assert.deepEqual(end(0x61, 0xff, 0xff), [0x62])
    assert.deepEqual(end(0xff), [0])
  })
  test('keys that are not UTF-8 stay apart', () => {
    assert.equal(readKey(1, Buffer.from('/ä')), 'ä')
    assert.notEqual(readKey(0, Buffer.of(0xff)), readKey(0, Buffer.of(0xfe)))
  })
  test('revisions, and what is none', () => {
    assert.equal(readRevision('42'), 42)
    for (const bad of ['-1', 'x', '1.5', '9007199254740993'])
      assert.throws(() => readRevision(bad), EtcdError)
  })
  test('faults by status and text', () => {
    const fault = (code: number, message: string) =>
      toEtcdError(Object.assign(new Error(message), { code }), 'range')
    assert.equal(fault(14, '14 UNAVAILABLE: No connection established').code, 'unreachable')
    assert.equal(fault(14, '14 UNAVAILABLE: etcdserver: no leader').code, 'unavailable')
    assert.equal(fault(4, '4 DEADLINE_EXCEEDED').code, 'timeout')
    assert.equal(fault(16, 'etcdserver: invalid auth token').code, 'token-expired')
    assert.equal(fault(7, 'etcdserver: permission denied').retryable, false)
    assert.equal(toEtcdError(new Error('odd'), 'range').code, 'protocol')
  })
})
