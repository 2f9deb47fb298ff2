import assert from 'node:assert/strict'
import test from 'node:test'
import { frame } from '../../../src/core/pgwire/messages.ts'
import {
  SAW_AUTHENTICATION_OK,
  SAW_BACKEND_KEY,
  SAW_COPY_BOTH,
  SAW_ERROR_RESPONSE,
  SAW_HOT_STANDBY_OFF,
  SAW_HOT_STANDBY_ON,
  SAW_READY_FOR_QUERY,
  SERVER_MALFORMED,
  ServerCursor,
} from '../../../src/core/pgwire/server-stream.ts'

const OK = frame('R', Buffer.alloc(4))
const STANDBY_ON = frame('S', Buffer.from('in_hot_standby\0on\0'))
const STANDBY_OFF = frame('S', Buffer.from('in_hot_standby\0off\0'))
const VERSION = frame('S', Buffer.from('server_version\x0015.4\0'))
const KEY = frame('K', Buffer.from([0, 0, 0x12, 0x67, 0xfe, 0xdc, 0xba, 0x98]))
const LONG_KEY = frame('K', Buffer.concat([Buffer.from([0, 0, 0, 7]), Buffer.alloc(256, 5)]))
const ERROR = frame('E', Buffer.from('SFATAL\0C57P01\0Mbye\0\0'))
const COPY_BOTH = frame('W', Buffer.alloc(3))
const EMPTY = frame('1', Buffer.alloc(0))
const ready = (status: string) => frame('Z', Buffer.from(status))

const LOGIN = Buffer.concat([OK, VERSION, STANDBY_OFF, KEY, ready('I')])

/** One call per part; returns the flags of all calls and the cursor. */
function follow(...parts: readonly Buffer[]): { flags: number; cursor: ServerCursor } {
  const cursor = new ServerCursor()
  let flags = 0
  for (const part of parts) flags |= cursor.advance(part, part.length)
  return { flags, cursor }
}

function checkEverySplit(bytes: Buffer, flags: number, check: (cursor: ServerCursor) => void) {
  for (let cut = 0; cut <= bytes.length; cut++) {
    const split = follow(bytes.subarray(0, cut), bytes.subarray(cut))
    assert.equal(split.flags, flags, `cut at ${cut}`)
    check(split.cursor)
  }
  const slow = follow(...Array.from(bytes, (byte) => Buffer.from([byte])))
  assert.equal(slow.flags, flags, 'byte by byte')
  check(slow.cursor)
}

test('a login is understood however it is cut', () => {
  const flags = SAW_AUTHENTICATION_OK | SAW_HOT_STANDBY_OFF | SAW_BACKEND_KEY | SAW_READY_FOR_QUERY
  checkEverySplit(LOGIN, flags, (cursor) => {
    assert.equal(cursor.atBoundary, true)
    assert.equal(cursor.transaction, 'idle')
    assert.equal(cursor.hotStandby, false)
    assert.equal(cursor.backendPid, 0x1267)
    assert.deepEqual(cursor.backendKey, Buffer.from([0xfe, 0xdc, 0xba, 0x98]))
  })
})

test('a key of 256 bytes (protocol 3.2) is understood however it is cut', () => {
  checkEverySplit(Buffer.concat([LONG_KEY, EMPTY]), SAW_BACKEND_KEY, (cursor) => {
    assert.equal(cursor.backendPid, 7)
    assert.deepEqual(cursor.backendKey, Buffer.alloc(256, 5))
  })
})

test('a key is kept when its chunk is used again', () => {
  for (const message of [KEY, LONG_KEY]) {
    const chunk = Buffer.from(message)
    const { cursor } = follow(chunk)
    chunk.fill(0xee)
    assert.deepEqual(cursor.backendKey, message.subarray(9))
  }
})

test('the last report of in_hot_standby counts', () => {
  const both = SAW_HOT_STANDBY_ON | SAW_HOT_STANDBY_OFF
  checkEverySplit(Buffer.concat([STANDBY_ON, STANDBY_OFF]), both, (cursor) => {
    assert.equal(cursor.hotStandby, false)
  })
  checkEverySplit(Buffer.concat([STANDBY_OFF, STANDBY_ON]), both, (cursor) => {
    assert.equal(cursor.hotStandby, true)
  })
})

test('parameters that only look alike raise nothing', () => {
  for (const text of ['in_hot_standby\0on\0\0', 'in_hot_standbY\0on\0', 'in_hot_standby\0of\0']) {
    const { flags, cursor } = follow(frame('S', Buffer.from(text)))
    assert.equal(flags, 0)
    assert.equal(cursor.hotStandby, null)
  }
})

test('errors and CopyBoth are seen when they end, requests for a password raise nothing', () => {
  checkEverySplit(ERROR, SAW_ERROR_RESPONSE, () => {})
  checkEverySplit(COPY_BOTH, SAW_COPY_BOTH, () => {})
  checkEverySplit(frame('R', Buffer.from([0, 0, 0, 5, 1, 2, 3, 4])), 0, () => {})
  checkEverySplit(frame('R', Buffer.from([0, 0, 0, 3])), 0, () => {})
  const cursor = new ServerCursor()
  assert.equal(cursor.advance(ERROR, ERROR.length - 1), 0)
  assert.equal(cursor.advance(Buffer.alloc(1), 1), SAW_ERROR_RESPONSE)
})

test('the transaction status follows ReadyForQuery', () => {
  const cursor = new ServerCursor()
  assert.equal(cursor.transaction, null)
  for (const [letter, status] of [
    ['T', 'in-transaction'],
    ['E', 'failed'],
    ['I', 'idle'],
    ['?', null],
  ] as const) {
    assert.equal(cursor.advance(ready(letter), 6), SAW_READY_FOR_QUERY)
    assert.equal(cursor.transaction, status)
  }
})

test('a boundary is where a message ended and nowhere else', () => {
  const bytes = Buffer.concat([EMPTY, ready('I'), frame('D', Buffer.alloc(7))])
  const ends = new Set([0, 5, 11, 23])
  const cursor = new ServerCursor()
  for (let at = 0; at < bytes.length; at++) {
    assert.equal(cursor.atBoundary, ends.has(at), `at ${at}`)
    cursor.advance(bytes.subarray(at), 1)
  }
  assert.equal(cursor.atBoundary, true)
})

test('only the first n bytes of a shared buffer count', () => {
  const shared = Buffer.alloc(64, 0x5a)
  ready('I').copy(shared)
  const cursor = new ServerCursor()
  assert.equal(cursor.advance(shared, 6), SAW_READY_FOR_QUERY)
  assert.equal(cursor.atBoundary, true)
  assert.equal(cursor.advance(shared, 0), 0)
})

test('a message of 2 GiB is followed to its last byte without being kept', () => {
  const cursor = new ServerCursor()
  const chunk = Buffer.alloc(1 << 20)
  cursor.advance(Buffer.from([0x64, 0x7f, 0xff, 0xff, 0xff]), 5)
  let left = 0x7fff_ffff - 4
  for (; left > chunk.length; left -= chunk.length) cursor.advance(chunk, chunk.length)
  assert.equal(cursor.atBoundary, false)
  ready('T').copy(chunk, left)
  assert.equal(cursor.advance(chunk, left + 6), SAW_READY_FOR_QUERY)
  assert.equal(cursor.atBoundary, true)
})

test('impossible lengths end the following, for good', () => {
  for (const length of [0, 1, 3, 0x8000_0000, 0xffff_ffff]) {
    const bytes = Buffer.alloc(5, 0x44)
    bytes.writeUInt32BE(length, 1)
    checkEverySplit(bytes, SERVER_MALFORMED, (cursor) => {
      assert.equal(cursor.atBoundary, false)
      assert.equal(cursor.advance(LOGIN, LOGIN.length), SERVER_MALFORMED)
    })
    const after = follow(Buffer.concat([ready('I'), bytes]))
    assert.equal(after.flags, SAW_READY_FOR_QUERY | SERVER_MALFORMED)
  }
  checkEverySplit(frame('Z', Buffer.from('II')), SERVER_MALFORMED, () => {})
})

test('messages to be read but far too long are skipped, not collected', () => {
  const cursor = new ServerCursor()
  for (const type of ['S', 'K', 'R']) {
    const big = frame(type, Buffer.alloc(100_000))
    for (let at = 0; at < big.length; at += 1000) {
      assert.equal(cursor.advance(big.subarray(at), Math.min(1000, big.length - at)), 0)
    }
    assert.equal(cursor.atBoundary, true)
  }
})
