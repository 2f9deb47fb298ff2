import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Purse } from '../../../src/core/fleet/purse.ts'

function purseOf(limit: number) {
  const sent: string[] = []
  const purse = new Purse<string>(limit, {
    want: (count) => sent.push(`want ${count}`),
    giveBack: (count) => sent.push(`return ${count}`),
  })
  return { purse, sent }
}

const unexpected = () => assert.fail('nobody waited')

test('alone, a worker counts against the whole limit', () => {
  const { purse, sent } = purseOf(2)
  assert.equal(purse.take('a', unexpected), true)
  assert.equal(purse.take('b', unexpected), true)
  assert.equal(purse.take('c', unexpected), false)
  purse.putBack()
  assert.equal(purse.take('c', unexpected), true)
  assert.deepEqual(sent, [])
})

test('with a control process, slots come from it, in order of asking', () => {
  const { purse, sent } = purseOf(10)
  const answers: string[] = []
  purse.joined()
  for (const name of ['a', 'b', 'c']) {
    assert.equal(
      purse.take(name, (admitted) => answers.push(`${name} ${admitted}`)),
      'pending',
    )
  }
  assert.deepEqual(sent, ['want 16'])
  purse.granted(2)
  assert.deepEqual(answers, ['a true', 'b true'])
  purse.granted(0)
  assert.deepEqual(answers, ['a true', 'b true', 'c false'])
  assert.equal(purse.held, 2)
})

test('one that left before the answer takes nothing', () => {
  const { purse } = purseOf(10)
  purse.joined()
  purse.take('a', unexpected)
  assert.equal(purse.drop('a'), true)
  purse.granted(1)
  assert.equal(purse.inUse, 0)
  assert.equal(purse.take('b', unexpected), true)
  assert.equal(purse.drop('b'), false)
})

test('a control process that does not answer is not waited for', () => {
  const { purse } = purseOf(1)
  const answers: boolean[] = []
  purse.joined()
  purse.take('a', (admitted) => answers.push(admitted))
  purse.take('b', (admitted) => answers.push(admitted))
  for (let tick = 0; tick < 5; tick++) purse.tick()
  assert.deepEqual(answers, [true, false])
  purse.granted(3)
  assert.equal(purse.take('c', unexpected), true, 'it answers again: it decides again')
})

test('reclaimed slots are those not in use', () => {
  const { purse, sent } = purseOf(10)
  purse.joined()
  purse.take('a', () => {})
  purse.granted(16)
  purse.reclaim()
  assert.deepEqual(sent, ['want 16', 'return 15'])
  assert.equal(purse.held, 1)
})
