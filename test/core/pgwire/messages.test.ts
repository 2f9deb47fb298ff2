import assert from 'node:assert/strict'
import test from 'node:test'
import { serialize } from 'pg-protocol'
import {
  cancelRequest,
  frame,
  SSL_REQUEST,
  startupPacket,
  TERMINATE_MESSAGE,
} from '../../../src/core/pgwire/messages.ts'

test('what another encoder builds too comes out the same', () => {
  assert.deepEqual(SSL_REQUEST, serialize.requestSsl())
  assert.deepEqual(TERMINATE_MESSAGE, serialize.end())
  assert.deepEqual(frame('Q', Buffer.from('SELECT 1\0')), serialize.query('SELECT 1'))
  const key = Buffer.alloc(4)
  key.writeInt32BE(-5)
  assert.deepEqual(cancelRequest(77, key), serialize.cancel(77, -5))
  const ours = startupPacket([
    ['user', 'é'],
    ['client_encoding', 'UTF8'],
  ])
  assert.deepEqual(ours, serialize.startup({ user: 'é' }))
})

test('what can not be said in a startup packet throws', () => {
  assert.throws(() => startupPacket([['', 'x']]), RangeError)
  assert.throws(() => startupPacket([['user', 'a\0b']]), RangeError)
  assert.throws(() => startupPacket([['user', 'x'.repeat(10_000)]]), RangeError)
})
