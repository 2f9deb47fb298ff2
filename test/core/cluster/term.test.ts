import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareTerms, isNewer } from '../../../src/core/cluster/term.ts'
import type { Term } from '../../../src/core/cluster/types.ts'
import { buildView } from '../../../src/core/cluster/view.ts'
import { snapshotOf } from './snapshots.ts'

test('terms are ordered by store, then created, then changed: all 27 x 27 pairs', () => {
  const terms: Term[] = []
  for (const store of [0, 1, 2])
    for (const created of [5, 6, 70])
      for (const changed of [80, 90, 100]) terms.push({ store, created, changed })
  for (const [i, a] of terms.entries()) {
    for (const [j, b] of terms.entries()) {
      assert.equal(compareTerms(a, b), Math.sign(i - j))
      assert.equal(isNewer(a, b), i > j)
    }
    assert.equal(isNewer(a, null), true)
  }
})

type Leader = { readonly value: string; readonly created: number; readonly mod: number }

/** The terms of a series of snapshots, each built with the view before it. */
function terms(...series: readonly (Leader & { store?: number })[]): readonly Term[] {
  let view = buildView(snapshotOf({}))
  return series.map(({ value, created, mod, store }) => {
    const leader = { value, createRevision: created, modRevision: mod }
    view = buildView(snapshotOf({ leader }, store), view)
    assert.ok(view.leader)
    return view.leader.term
  })
}

test('a re-put by the same holder keeps the term, a new holder of the same key is newer', () => {
  const [first, again, other, otherAgain] = terms(
    { value: 'a', created: 7, mod: 7 },
    { value: 'a', created: 7, mod: 20 },
    { value: 'b', created: 7, mod: 30 },
    { value: 'b', created: 7, mod: 35 },
  )
  assert.ok(first && again && other && otherAgain)
  assert.deepEqual(first, { store: 0, created: 7, changed: 7 })
  assert.equal(compareTerms(again, first), 0)
  assert.equal(compareTerms(other, again), 1)
  assert.equal(compareTerms(otherAgain, other), 0)
})

test('a key created anew is a newer term, even for the same holder', () => {
  const [first, second] = terms(
    { value: 'a', created: 7, mod: 40 },
    { value: 'a', created: 50, mod: 50 },
  )
  assert.ok(first && second && isNewer(second, first))
})

test('a store that started over makes newer terms although its revisions are smaller', () => {
  const [first, second] = terms(
    { value: 'a', created: 700, mod: 700 },
    { value: 'a', created: 3, mod: 3, store: 1 },
  )
  assert.ok(first && second && isNewer(second, first))
})

test('the same revisions in another store are another term', () => {
  const [first, second] = terms(
    { value: 'a', created: 7, mod: 7 },
    { value: 'a', created: 7, mod: 7, store: 1 },
  )
  assert.ok(first && second && isNewer(second, first))
})

test('without a previous view the term is the key as it is', () => {
  const leader = { value: 'a', createRevision: 7, modRevision: 20 }
  assert.deepEqual(buildView(snapshotOf({ leader })).leader, {
    member: 'a',
    term: { store: 0, created: 7, changed: 20 },
  })
})
