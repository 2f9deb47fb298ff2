import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { membersCut, mustCut } from '../../../src/core/routing/cut.ts'
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

const on = (member: string, role: Backend['role'], host = `${member}.test`): Backend => {
  return { member, role, host, port: 5432 }
}
const keeper = (member: string, ...hosts: string[]) => {
  return { member, addresses: hosts.map((host) => ({ host, port: 5432 })) }
}

test('a session is cut by the role its backend had when it was opened', () => {
  const keep = { primary: [keeper('n2', 'n2.test')], replicaNot: ['n2'] }
  assert.equal(mustCut(keep, on('n1', 'primary')), true)
  assert.equal(mustCut(keep, on('n2', 'primary')), false)
  assert.equal(mustCut(keep, on('n2', 'replica')), true)
  assert.equal(mustCut(keep, on('gone', 'replica')), false)
})

test('a namesake at another address is another server', () => {
  const keep = { primary: [keeper('n1', 'old', 'new')], replicaNot: [] }
  assert.equal(mustCut(keep, on('n1', 'primary', 'old')), false)
  assert.equal(mustCut(keep, { ...on('n1', 'primary', 'new'), port: 5433 }), true)
  assert.equal(mustCut(keep, on('n1', 'primary', 'other')), true)
  const anywhere = { primary: [{ member: 'n1', addresses: null }], replicaNot: [] }
  assert.equal(mustCut(anywhere, on('n1', 'primary', 'other')), false)
})

test('who is cut by a change: each member with a place where sessions can not stay', () => {
  const both = [keeper('n1', 'old', 'new')]
  assert.deepEqual(membersCut(both, both), [])
  assert.deepEqual(membersCut(both, [keeper('n1', 'new')]), ['n1'])
  assert.deepEqual(membersCut([keeper('n1', 'new')], both), [])
  assert.deepEqual(membersCut(both, [{ member: 'n1', addresses: null }]), [])
  assert.deepEqual(membersCut([{ member: 'n1', addresses: null }], both), [])
  assert.deepEqual(membersCut(both, []), ['n1'])
})

test('without knowledge nothing is cut, without a primary every writer is', () => {
  assert.equal(mustCut({ primary: null, replicaNot: [] }, on('n1', 'primary')), false)
  assert.equal(mustCut({ primary: [], replicaNot: [] }, on('n1', 'primary')), true)
})
