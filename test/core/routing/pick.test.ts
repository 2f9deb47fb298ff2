import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { mustCut } from '../../../src/core/routing/cut.ts'
import { orderBackends } from '../../../src/core/routing/pick.ts'
import type { Backend, Balance, OpenRoute } from '../../../src/core/routing/types.ts'

function routeOf(balance: Balance, ...names: [string, ...string[]]): OpenRoute {
  const [first, ...rest] = names.map((member): Backend => {
    return { member, host: member, port: 5432, role: 'replica' }
  })
  return { kind: 'open', backends: [first!, ...rest], balance }
}

function order(route: OpenRoute, counts: Record<string, number>, turn = 0, random01 = 0): string {
  const ordered = orderBackends(route, (member) => counts[member] ?? 0, turn, random01)
  return ordered.map(({ member }) => member).join(' ')
}

test('leastconn puts the least used first and rotates ties', () => {
  const route = routeOf('leastconn', 'a', 'b', 'c')
  assert.equal(order(route, { a: 3, b: 1, c: 2 }), 'b c a')
  assert.equal(order(route, { a: 1, b: 1, c: 0 }, 0), 'c a b')
  assert.equal(order(route, { a: 1, b: 1, c: 0 }, 1), 'c b a')
  assert.equal(order(route, {}, 2), 'c a b')
})

test('roundrobin goes by turn alone', () => {
  const route = routeOf('roundrobin', 'a', 'b', 'c')
  const turns = [0, 1, 2, 3].map((turn) => order(route, { a: 9 }, turn))
  assert.deepEqual(turns, ['a b c', 'b c a', 'c a b', 'a b c'])
})

test('random gives each of the orders the same share', () => {
  const route = routeOf('random', 'a', 'b', 'c')
  const count = new Map<string, number>()
  for (let at = 0; at < 600; at++) {
    const one = order(route, {}, 0, (at + 0.5) / 600)
    count.set(one, (count.get(one) ?? 0) + 1)
  }
  assert.equal(count.size, 6)
  assert.ok([...count.values()].every((times) => times === 100))
})

test('every order names each backend once', () => {
  const balance = fc.constantFrom<Balance>('leastconn', 'roundrobin', 'random')
  const luck = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  const names = fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(balance, names, fc.nat(), luck, (by, all, turn, random01) => {
      const [first, ...rest] = all
      const route = routeOf(by, first!, ...rest)
      const ordered = orderBackends(route, (member) => member.length, turn, random01)
      assert.deepEqual(new Set(ordered), new Set(route.backends))
      assert.equal(ordered.length, all.length)
    }),
  )
})

test('a session is cut by the role its backend had when it was opened', () => {
  const keep = { primary: ['n2'], replicaNot: ['n2'] }
  assert.equal(mustCut(keep, { member: 'n1', role: 'primary' }), true)
  assert.equal(mustCut(keep, { member: 'n2', role: 'primary' }), false)
  assert.equal(mustCut(keep, { member: 'n2', role: 'replica' }), true)
  assert.equal(mustCut(keep, { member: 'gone', role: 'replica' }), false)
})

test('without knowledge nothing is cut, without a primary every writer is', () => {
  assert.equal(mustCut({ primary: null, replicaNot: [] }, { member: 'n1', role: 'primary' }), false)
  assert.equal(mustCut({ primary: [], replicaNot: [] }, { member: 'n1', role: 'primary' }), true)
})
