import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  GRANT_BATCH_MAX,
  giveBack,
  heldInTotal,
  joined,
  left,
  newQuota,
  type Quota,
  type QuotaMessage,
  type QuotaStep,
  setLimit,
  want,
} from '../../../src/core/fleet/quota.ts'

const grant = (worker: string, count: number): QuotaMessage => ({ kind: 'grant', worker, count })
const reclaim = (worker: string): QuotaMessage => ({ kind: 'reclaim', worker })

function quotaOf(limit: number, held: Record<string, number>): Quota {
  let quota = newQuota(limit)
  for (const [worker, count] of Object.entries(held)) quota = joined(quota, worker, count).quota
  return quota
}

test('a worker gets what it wants while enough is free', () => {
  assert.deepEqual(want(quotaOf(100, { a: 0 }), 'a', 3).send, [grant('a', 3)])
})

test('grants come in small batches, and leave something for the others', () => {
  assert.deepEqual(want(quotaOf(10_000, { a: 0 }), 'a', 5000).send, [grant('a', GRANT_BATCH_MAX)])
  assert.deepEqual(want(quotaOf(10, { a: 0, b: 0 }), 'a', 10).send, [grant('a', 5)])
})

test('when nothing is free the others are asked, and what comes back is granted', () => {
  const asking = want(quotaOf(10, { a: 2, b: 5, c: 3 }), 'a', 4)
  assert.deepEqual(asking.send, [reclaim('b'), reclaim('c')])
  const returned = giveBack(asking.quota, 'b', 3)
  assert.deepEqual(returned.send, [grant('a', 1)])
  assert.deepEqual(want(giveBack(returned.quota, 'c', 0).quota, 'a', 3).send, [grant('a', 1)])
})

test('only after the last answer is a wish denied', () => {
  const asking = want(quotaOf(10, { a: 2, b: 5, c: 3 }), 'a', 4)
  const one = giveBack(asking.quota, 'b', 0)
  assert.deepEqual(one.send, [])
  assert.deepEqual(giveBack(one.quota, 'c', 0).send, [grant('a', 0)])
})

test('a worker that holds all is denied at once: nobody else can return any', () => {
  assert.deepEqual(want(quotaOf(5, { a: 5, b: 0 }), 'a', 1).send, [grant('a', 0)])
})

test('a worker that was asked already is not asked twice, its one answer counts for both', () => {
  const first = want(quotaOf(6, { a: 0, b: 0, c: 6 }), 'a', 1)
  const second = want(first.quota, 'b', 1)
  assert.deepEqual([first.send, second.send], [[reclaim('c')], []])
  assert.deepEqual(giveBack(second.quota, 'c', 1).send, [grant('a', 1), grant('b', 0)])
})

test('a dead worker answers by leaving, and its slots are free', () => {
  const asking = want(quotaOf(6, { a: 3, b: 3 }), 'a', 1)
  assert.deepEqual(left(asking.quota, 'b').send, [grant('a', 1)])
})

test('a taken-over worker keeps what it holds above the limit, and nothing is granted', () => {
  const quota = quotaOf(5, { a: 2 })
  const over = joined(quota, 'b', 9)
  assert.equal(heldInTotal(over.quota), 11)
  assert.deepEqual(over.send, [reclaim('a'), reclaim('b')])
  const wanting = want(over.quota, 'a', 1)
  assert.deepEqual(giveBack(wanting.quota, 'b', 4).send, [grant('a', 0)])
})

test('a lower limit asks for unused slots, a higher one serves who waits', () => {
  const lower = setLimit(quotaOf(10, { a: 5, b: 5 }), 4)
  assert.deepEqual(lower.send, [reclaim('a'), reclaim('b')])
  const waiting = want(lower.quota, 'a', 2)
  assert.deepEqual(setLimit(waiting.quota, 30).send, [grant('a', 2)])
})

test('strange counts and strangers do no harm', () => {
  const quota = quotaOf(10, { a: 4 })
  assert.deepEqual(want(quota, 'nobody', 1).send, [grant('nobody', 0)])
  for (const count of [0, -3, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.deepEqual(want(quota, 'a', count).send, [grant('a', 0)])
  }
  assert.equal(heldInTotal(giveBack(quota, 'a', 1000).quota), 0)
  assert.equal(heldInTotal(giveBack(quota, 'a', -1000).quota), 4)
  assert.deepEqual(giveBack(quota, 'nobody', 3).send, [])
})

/** Workers as they should behave: they use some slots and answer each reclaim with the unused. */
class Fleet {
  quota: Quota
  readonly workers = new Map<string, { held: number; used: number; wants: boolean }>()
  readonly unanswered: string[] = []
  /** What a taken-over worker or a lowered limit may leave above the limit; falls with the total. */
  ceiling: number

  constructor(limit: number) {
    this.quota = newQuota(limit)
    this.ceiling = limit
  }

  do(step: QuotaStep): void {
    this.quota = step.quota
    for (const message of step.send) this.#receive(message)
    this.#check(step.send)
  }

  answer(pick: number): void {
    const name = this.unanswered.splice(pick % this.unanswered.length, 1)[0] ?? ''
    const worker = this.workers.get(name)
    if (worker === undefined) return
    const unused = worker.held - worker.used
    worker.held = worker.used
    this.do(giveBack(this.quota, name, unused))
  }

  #receive(message: QuotaMessage): void {
    const worker = this.workers.get(message.worker)
    assert.ok(worker, 'messages go to workers that are there')
    if (message.kind === 'reclaim') {
      assert.ok(!this.unanswered.includes(message.worker), 'nobody is asked twice')
      this.unanswered.push(message.worker)
      return
    }
    assert.ok(worker.wants, 'each grant answers a wish')
    assert.ok(message.count <= GRANT_BATCH_MAX)
    worker.wants = false
    worker.held += message.count
  }

  #check(sent: readonly QuotaMessage[]): void {
    const total = heldInTotal(this.quota)
    const limit = this.quota.limit
    const granted = sent.some((message) => message.kind === 'grant' && message.count > 0)
    if (granted) assert.ok(total <= limit, `granted up to ${total} of ${limit}`)
    assert.ok(total <= Math.max(limit, this.ceiling), `${total} held, ${this.ceiling} allowed`)
    this.ceiling = Math.max(limit, total)
    const wanting = [...this.workers].filter(([, worker]) => worker.wants).map(([name]) => name)
    assert.deepEqual(this.quota.wishes.map((wish) => wish.worker).sort(), wanting.sort())
    if (wanting.length > 0) assert.ok(total >= limit, 'nobody waits while slots are free')
    if (this.unanswered.length === 0) assert.deepEqual(wanting, [], 'nobody waits for ever')
    for (const [name, worker] of this.workers) {
      assert.equal(this.quota.held.get(name), worker.held, `both know what ${name} holds`)
    }
  }
}

type Event = { readonly op: string; readonly worker: string; readonly n: number }

const event = fc.record<Event>({
  op: fc.constantFrom(
    'join',
    'want',
    'want',
    'want',
    'use',
    'use',
    'end',
    'answer',
    'answer',
    'leave',
    'limit',
  ),
  worker: fc.constantFrom('a', 'b', 'c', 'd'),
  n: fc.nat(60),
})

function play(fleet: Fleet, { op, worker: name, n }: Event): void {
  const worker = fleet.workers.get(name)
  if (op === 'answer' && fleet.unanswered.length > 0) fleet.answer(n)
  if (op === 'limit') fleet.do(setLimit(fleet.quota, n))
  if (op === 'join' && worker === undefined) {
    const held = n % 3 === 0 ? n : 0 // every third is a taken-over one, busy with all it holds
    fleet.workers.set(name, { held, used: held, wants: false })
    fleet.ceiling = Math.max(fleet.ceiling, heldInTotal(fleet.quota) + held)
    fleet.do(joined(fleet.quota, name, held))
  }
  if (worker === undefined) return
  if (op === 'use') worker.used = Math.min(worker.held, worker.used + n)
  if (op === 'end') worker.used = Math.max(0, worker.used - n)
  if (op === 'want' && !worker.wants && n > 0) {
    worker.wants = true
    fleet.do(want(fleet.quota, name, n))
  }
  if (op === 'leave') {
    fleet.workers.delete(name)
    fleet.unanswered.splice(0, Infinity, ...fleet.unanswered.filter((other) => other !== name))
    fleet.do(left(fleet.quota, name))
  }
}

test('never more than the limit, and nobody waits for ever, whatever workers do', () => {
  fc.assert(
    fc.property(fc.nat(50), fc.array(event, { maxLength: 150, size: 'max' }), (limit, events) => {
      const fleet = new Fleet(limit)
      for (const each of events) play(fleet, each)
      while (fleet.unanswered.length > 0) fleet.answer(0)
      assert.deepEqual(fleet.quota.wishes, [])
    }),
    { numRuns: 300 },
  )
})

/** A worker may also misbehave: then grants must still never pass the limit. */
test('lies about counts never lead to grants beyond the limit', () => {
  const count = fc.oneof(fc.integer(), fc.double(), fc.constant(Number.NaN))
  const lie = fc.tuple(fc.constantFrom(want, giveBack), fc.constantFrom('a', 'b', 'x'), count)
  fc.assert(
    fc.property(fc.array(lie, { maxLength: 60, size: 'max' }), (lies) => {
      let quota = quotaOf(20, { a: 0, b: 0 })
      for (const [operation, worker, n] of lies) {
        quota = operation(quota, worker, n).quota
        assert.ok(heldInTotal(quota) <= 20)
        assert.ok(quota.wishes.length <= 2)
      }
    }),
  )
})
