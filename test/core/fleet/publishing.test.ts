/** The order of tables: cut before open. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  CUT_WAIT_MS,
  NOTHING_PUBLISHED,
  offerTable,
  reviewAcks,
} from '../../../src/core/fleet/publishing.ts'
import type { Route, RouteTable } from '../../../src/core/routing/types.ts'

const held: Route = { kind: 'held', cause: 'no-leader', words: '' }

function table(serial: number, primary: string | null, keep: readonly string[] | null): RouteTable {
  const backend = { member: primary ?? '', host: 'h', port: 1, role: 'primary' } as const
  const write: Route =
    primary === null ? held : { kind: 'open', backends: [backend], balance: 'random' }
  return {
    ...{ serial, term: null, leader: primary, stale: false, members: [] },
    keep: { primary: keep, replicaNot: [] },
    listeners: { write: { primary: write, replica: held, sync: held, any: held } },
  }
}

const onA = offerTable(NOTHING_PUBLISHED, table(1, 'a', ['a']), 0).publishing
const cutting = offerTable(onA, table(2, null, ['b']), 10)

test('tables go out at once', () => {
  assert.equal(offerTable(NOTHING_PUBLISHED, table(1, 'a', ['a']), 0).send?.serial, 1)
  assert.equal(cutting.send?.serial, 2)
})

test('a new primary opens only when every worker has let go of the old one', () => {
  const opening = offerTable(cutting.publishing, table(3, 'b', ['b']), 20)
  assert.equal(opening.send, null)
  assert.equal(reviewAcks(opening.publishing, 1, 30).send, null)
  assert.equal(reviewAcks(opening.publishing, 2, 30).send?.serial, 3)
})

test('workers that do not answer delay it only so long', () => {
  const opening = offerTable(cutting.publishing, table(3, 'b', ['b']), 20)
  assert.equal(reviewAcks(opening.publishing, 1, 10 + CUT_WAIT_MS).send?.serial, 3)
})

test('a table that holds overtakes the one that waits to open', () => {
  const opening = offerTable(cutting.publishing, table(3, 'b', ['b']), 20)
  const holding = offerTable(opening.publishing, table(4, null, ['b']), 25)
  assert.equal(holding.send?.serial, 4)
  assert.equal(reviewAcks(holding.publishing, 4, 30).send, null)
})

test('an unknown set of keepers cuts nobody', () => {
  const step = offerTable(onA, table(2, null, null), 10)
  assert.equal(step.publishing.cutting, null)
})
