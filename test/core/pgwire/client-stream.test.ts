import assert from 'node:assert/strict'
import test from 'node:test'
import {
  CLIENT_MALFORMED,
  ClientCursor,
  SAW_TERMINATE,
} from '../../../src/core/pgwire/client-stream.ts'
import { frame, TERMINATE_MESSAGE } from '../../../src/core/pgwire/messages.ts'

const QUERY = frame('Q', Buffer.from('SELECT 1\0'))
const SYNC = frame('S', Buffer.alloc(0))

test('Terminate is seen however the stream is cut', () => {
  const bytes = Buffer.concat([QUERY, SYNC, frame('d', Buffer.alloc(50, 0x58)), TERMINATE_MESSAGE])
  for (let cut = 0; cut <= bytes.length; cut++) {
    const cursor = new ClientCursor()
    const first = cursor.advance(bytes, cut)
    const second = cursor.advance(bytes.subarray(cut), bytes.length - cut)
    assert.equal(first | second, SAW_TERMINATE, `cut at ${cut}`)
    assert.equal(cursor.atBoundary, true)
  }
})

test('a boundary is where a message ended and nowhere else', () => {
  const bytes = Buffer.concat([SYNC, QUERY, SYNC])
  const ends = new Set([0, 5, 19, 24])
  const cursor = new ClientCursor()
  for (let at = 0; at <= bytes.length; at++) {
    assert.equal(cursor.atBoundary, ends.has(at), `at ${at}`)
    if (at < bytes.length) assert.equal(cursor.advance(bytes.subarray(at), 1), 0)
  }
})

test('impossible lengths end the following, for good', () => {
  for (const length of [0, 3, 0x8000_0000, 0xffff_ffff]) {
    const bytes = Buffer.alloc(5, 0x51)
    bytes.writeUInt32BE(length, 1)
    for (let cut = 0; cut <= 5; cut++) {
      const cursor = new ClientCursor()
      const flags = cursor.advance(bytes, cut) | cursor.advance(bytes.subarray(cut), 5 - cut)
      assert.equal(flags, CLIENT_MALFORMED)
      assert.equal(cursor.atBoundary, false)
      assert.equal(cursor.advance(TERMINATE_MESSAGE, 5), CLIENT_MALFORMED)
    }
  }
})
