import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RingQueue } from '../../src/kit/ring-queue.ts'

test('first in, first out, and undefined when empty', () => {
  const queue = new RingQueue<string>(3)
  assert.deepEqual([queue.push('a'), queue.push('b')], [true, true])
  assert.deepEqual(
    [queue.peek(), queue.shift(), queue.shift(), queue.shift()],
    ['a', 'a', 'b', undefined],
  )
  assert.equal(queue.size, 0)
})

test('a full queue refuses at both ends and takes again after a leave', () => {
  const queue = new RingQueue<string>(2)
  queue.push('a')
  queue.push('b')
  assert.deepEqual([queue.push('c'), queue.pushFront('c')], [false, false])
  assert.equal(queue.remove('a'), true)
  assert.equal(queue.pushFront('c'), true)
  assert.deepEqual([...queue], ['c', 'b'])
})

test('a limit of 0 takes nothing', () => {
  assert.equal(new RingQueue<string>(0).push('a'), false)
})

test('the same item twice is a bug of the caller', () => {
  const queue = new RingQueue<string>(2)
  queue.push('a')
  assert.throws(() => queue.push('a'), /already in the queue/)
})

test('items can be removed while iterating, down to the last', () => {
  const queue = new RingQueue<number>(100)
  for (let n = 0; n < 100; n += 1) queue.push(n)
  for (const n of queue) if (n % 3 !== 0) queue.remove(n)
  assert.equal(queue.size, 34)
  for (const n of queue) queue.remove(n)
  assert.equal(queue.size, 0)
  assert.deepEqual([...queue], [])
})

// Gaps must be taken back: with one long waiter at the head, others come and go for ever.
test('a hundred thousand short visits behind one long waiter stay cheap', () => {
  const queue = new RingQueue<number>(1000)
  queue.push(-1)
  for (let n = 0; n < 100_000; n += 1) {
    assert.equal(queue.push(n), true)
    assert.equal(queue.remove(n), true)
  }
  assert.deepEqual([...queue], [-1])
})

type Step =
  | { readonly op: 'push' | 'pushFront' }
  | { readonly op: 'shift' }
  | { readonly op: 'remove'; readonly pick: number }

const steps = (weightOfAdding: number) =>
  fc.array(
    fc.oneof(
      { weight: weightOfAdding, arbitrary: fc.constant<Step>({ op: 'push' }) },
      { weight: 2, arbitrary: fc.constant<Step>({ op: 'pushFront' }) },
      { weight: 3, arbitrary: fc.constant<Step>({ op: 'shift' }) },
      { weight: 3, arbitrary: fc.nat().map((pick): Step => ({ op: 'remove', pick })) },
    ),
    { maxLength: 400, size: 'max' },
  )

/** The obvious slow version. */
class ArrayTwin {
  readonly items: number[] = []
  readonly limit: number
  constructor(limit: number) {
    this.limit = limit
  }
  add(item: number, how: 'push' | 'unshift'): boolean {
    if (this.items.length >= this.limit) return false
    this.items[how](item)
    return true
  }
  remove(item: number): boolean {
    const at = this.items.indexOf(item)
    if (at >= 0) this.items.splice(at, 1)
    return at >= 0
  }
}

function runBoth(limit: number, program: readonly Step[]): void {
  const queue = new RingQueue<number>(limit)
  const twin = new ArrayTwin(limit)
  for (const [n, step] of program.entries()) {
    if (step.op === 'push') assert.equal(queue.push(n), twin.add(n, 'push'))
    else if (step.op === 'pushFront') assert.equal(queue.pushFront(n), twin.add(n, 'unshift'))
    else if (step.op === 'shift') assert.equal(queue.shift(), twin.items.shift())
    else if (step.op === 'remove') {
      // Now and then an item that is not in the queue any more.
      const item = twin.items[step.pick % (twin.items.length + 1)] ?? step.pick % 400
      assert.equal(queue.has(item), twin.items.includes(item))
      assert.equal(queue.remove(item), twin.remove(item))
    }
    assert.equal(queue.size, twin.items.length)
    assert.equal(queue.peek(), twin.items[0])
    assert.deepEqual([...queue], twin.items)
  }
}

test('any program gives what an array gives', () => {
  for (const weight of [6, 30]) {
    fc.assert(fc.property(fc.integer({ min: 0, max: 200 }), steps(weight), runBoth), {
      numRuns: 100,
    })
  }
})
