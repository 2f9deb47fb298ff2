import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  afterOpening,
  FRESH_PACE,
  isDeniedByKey,
  mayOpenAtMs,
  REOPEN_CALM_MS,
  REOPEN_GAP_MAX_MS,
} from '../../../src/core/routing/proof.ts'
import { memberNamed, primaryNamed } from './build.ts'

test('openings that follow each other closely get rarer, up to one a second', () => {
  const gaps: number[] = []
  let pace = afterOpening(FRESH_PACE, 0)
  for (let times = 0; times < 7; times++) {
    const atMs = mayOpenAtMs(pace)
    gaps.push(atMs - pace.openedAtMs!)
    pace = afterOpening(pace, atMs)
  }
  assert.deepEqual(gaps, [50, 100, 200, 400, 800, REOPEN_GAP_MAX_MS, REOPEN_GAP_MAX_MS])
})

test('an opening after a calm while starts small again', () => {
  const hasty = afterOpening(afterOpening(FRESH_PACE, 0), 50)
  const calm = afterOpening(hasty, 51 + REOPEN_CALM_MS)
  assert.equal(mayOpenAtMs(calm), 51 + REOPEN_CALM_MS + 50)
})

test('the first opening of a term waits for nothing', () => {
  assert.ok(mayOpenAtMs(FRESH_PACE) < 0)
})

test('a member key denies a proof only when it is new and says something else', () => {
  assert.equal(isDeniedByKey(5, primaryNamed('n1', 6)), false)
  assert.equal(isDeniedByKey(5, memberNamed('n1', { role: 'replica', changed: 5 })), false)
  assert.equal(isDeniedByKey(5, memberNamed('n1', { role: 'replica', changed: 6 })), true)
  assert.equal(isDeniedByKey(5, memberNamed('n1', { role: 'promoted', changed: 6 })), false)
  const stopping = { role: 'promoted', state: 'stopping', changed: 6 } as const
  assert.equal(isDeniedByKey(5, memberNamed('n1', stopping)), true)
  assert.equal(isDeniedByKey(5, null), false)
})
