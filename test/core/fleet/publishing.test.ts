/** The order of tables: cut before open. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  CUT_WAIT_MS,
  NOTHING_PUBLISHED,
  offerTable,
  type PublishStep,
  primariesOf,
  reviewAcks,
} from '../../../src/core/fleet/publishing.ts'
import type { Route, RouteTable } from '../../../src/core/routing/types.ts'

const held: Route = { kind: 'held', cause: 'no-leader', words: '' }

function table(serial: number, primary: string | null, keep: readonly string[] | null): RouteTable {
  const keepers = keep?.map((member) => ({ member, addresses: [{ host: 'h', port: 1 }] })) ?? null
  const backend = { member: primary ?? '', host: 'h', port: 1, role: 'primary' } as const
  const write: Route =
    primary === null ? held : { kind: 'open', backends: [backend], balance: 'random' }
  return {
    ...{ serial, term: null, leader: primary, stale: false, members: [] },
    keep: { primary: keepers, replicaNot: [] },
    witness: null,
    listeners: { write: { primary: write, replica: write, sync: held, any: held } },
  }
}

/** Every worker has switched to `first`. */
const settled = (first: RouteTable) =>
  reviewAcks(offerTable(NOTHING_PUBLISHED, first, 0).publishing, first.serial, 0).publishing
const onA = settled(table(1, 'a', ['a']))
const cutting = offerTable(onA, table(2, null, ['b']), 10)

test('tables go out at once', () => {
  assert.equal(onA.sent?.serial, 1)
  assert.equal(cutting.send?.serial, 2)
  assert.equal(offerTable(onA, table(2, 'a', ['a']), 10).send?.serial, 2)
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

test('one table that takes the role and gives it away goes out held first', () => {
  const step = offerTable(onA, table(2, 'b', ['b']), 10)
  const { send } = step
  assert.ok(send !== null && send.serial > 1 && send.serial < 2)
  assert.deepEqual(send.keep, table(2, 'b', ['b']).keep)
  for (const route of Object.values(send.listeners['write']!)) assert.equal(route.kind, 'held')
  assert.equal(reviewAcks(step.publishing, 1, 20).send, null)
  assert.equal(reviewAcks(step.publishing, send.serial, 20).send?.serial, 2)
})

test('the first table may meet workers that serve another primary', () => {
  const step = offerTable(NOTHING_PUBLISHED, table(1, 'b', ['b']), 10)
  assert.ok(step.send !== null && step.send.serial < 1)
  assert.equal(step.send.listeners['write']!.primary.kind, 'held')
  assert.equal(reviewAcks(step.publishing, 0, 20).send, null)
  assert.equal(reviewAcks(step.publishing, 0, 10 + CUT_WAIT_MS).send?.serial, 1)
})

test('nor does a table without knowledge of keepers say what workers serve', () => {
  const vacant = settled(table(1, null, null))
  const held = offerTable(vacant, table(2, null, ['b']), 10)
  const opening = offerTable(held.publishing, table(3, 'b', ['b']), 20)
  assert.equal(opening.send, null)
  assert.equal(reviewAcks(opening.publishing, 1, 30).send, null)
  assert.equal(reviewAcks(opening.publishing, 2, 30).send?.serial, 3)
})

test('a third primary while the second waits: its cut is awaited anew', () => {
  const opening = offerTable(cutting.publishing, table(3, 'b', ['b']), 20)
  const next = offerTable(opening.publishing, table(4, 'c', ['c']), 30)
  assert.equal(next.send?.listeners['write']?.primary.kind, 'held')
  assert.equal(reviewAcks(next.publishing, 2, 40).send, null)
  assert.equal(reviewAcks(next.publishing, next.send!.serial, 40).send?.serial, 4)
})

test('of any tables in any order no two workers ever serve two primaries', () => {
  const member = fc.constantFrom('a', 'b', 'c')
  const event = fc.oneof(
    fc.record({ kind: fc.constant('open' as const), member }),
    fc.record({ kind: fc.constant('hold' as const), member: fc.option(member) }),
    fc.record({ kind: fc.constant('take' as const), worker: fc.nat(2) }),
  )
  fc.assert(
    fc.property(fc.array(event), member, (events, first) => {
      // Each worker has its line of tables not yet taken; all begin by the table of another process.
      const lines: RouteTable[][] = [[], [], []]
      const taken = lines.map(() => table(0, first, [first]))
      let publishing = NOTHING_PUBLISHED
      let serial = 0
      const perform = (step: PublishStep) => {
        publishing = step.publishing
        if (step.send !== null) for (const line of lines) line.push(step.send)
      }
      for (const one of events) {
        if (one.kind === 'open')
          perform(offerTable(publishing, table(++serial, one.member, [one.member]), 0))
        else if (one.kind === 'hold') {
          perform(
            offerTable(
              publishing,
              table(++serial, null, one.member === null ? null : [one.member]),
              0,
            ),
          )
        } else {
          taken[one.worker] = lines[one.worker]!.shift() ?? taken[one.worker]!
          perform(reviewAcks(publishing, Math.min(...taken.map((it) => it.serial)), 0))
        }
        assert.ok(new Set(taken.flatMap(primariesOf)).size <= 1)
      }
    }),
  )
})
