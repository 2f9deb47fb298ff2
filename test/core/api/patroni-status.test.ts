/** Status bodies as stock Patroni 3.0 and 4.1 answer them, and garbage. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readPatroniStatus } from '../../../src/core/api/patroni-status.ts'

const body = (fields: object) => JSON.stringify({ state: 'running', ...fields })
const primary = body({ role: 'master', xlog: { location: 67108960 } })
const standby = body({
  role: 'replica',
  xlog: { received_location: 67108960, replayed_location: 67108960, paused: false },
})

test('/patroni tells recovery, /primary the lock as well', () => {
  assert.deepEqual(readPatroniStatus('/patroni', 200, primary), {
    kind: 'primary',
    holdsLock: null,
  })
  assert.deepEqual(readPatroniStatus('/primary', 200, primary), {
    kind: 'primary',
    holdsLock: true,
  })
  assert.deepEqual(readPatroniStatus('/primary', 503, primary), {
    kind: 'primary',
    holdsLock: false,
  })
})

test('a standby is one whatever role or status code say', () => {
  assert.deepEqual(readPatroniStatus('/patroni', 200, standby), { kind: 'standby' })
  const promoted = standby.replace('replica', 'primary')
  assert.deepEqual(readPatroniStatus('/primary', 200, promoted), { kind: 'standby' })
})

test('a PostgreSQL that does not run is no standby', () => {
  const starting = JSON.stringify({ state: 'starting', role: 'master' })
  assert.deepEqual(readPatroniStatus('/primary', 200, starting), {
    kind: 'not-running',
    state: 'starting',
  })
  const blind = readPatroniStatus('/patroni', 200, body({ role: 'primary' }))
  assert.equal(blind.kind, 'not-running')
  const zero = readPatroniStatus('/patroni', 200, body({ role: 'master', xlog: { location: 0 } }))
  assert.equal(zero.kind, 'not-running')
})

test('what a query just showed counts, although the agent still says starting', () => {
  const up = primary.replace('running', 'starting')
  assert.deepEqual(readPatroniStatus('/patroni', 503, up), { kind: 'primary', holdsLock: null })
  const replaying = standby.replace('running', 'starting')
  assert.deepEqual(readPatroniStatus('/patroni', 503, replaying), { kind: 'standby' })
  const stopping = primary.replace('running', 'stopping')
  assert.equal(readPatroniStatus('/patroni', 503, stopping).kind, 'not-running')
})

test('garbage is unreachable, never a role', () => {
  for (const text of ['', '[]', '"running"', 'null', '{"state":7}', '<html>']) {
    assert.equal(readPatroniStatus('/patroni', 200, text).kind, 'unreachable')
  }
  assert.equal(readPatroniStatus('/patroni', 404, primary).kind, 'unreachable')
  fc.assert(
    fc.property(fc.json(), fc.integer(), (text, status) => {
      assert.notEqual(readPatroniStatus('/patroni', status, text).kind, 'primary')
    }),
  )
})
