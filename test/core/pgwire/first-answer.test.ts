import assert from 'node:assert/strict'
import test from 'node:test'
import { fatalError } from '../../../src/core/pgwire/errors.ts'
import {
  FIRST_ANSWER_BYTES_MAX,
  type FirstAnswer,
  readFirstAnswer,
  readTlsAnswer,
  splitTrustLogin,
} from '../../../src/core/pgwire/first-answer.ts'
import { frame } from '../../../src/core/pgwire/messages.ts'
import { checkEveryCut } from './every-cut.ts'

const read = (bytes: Buffer): FirstAnswer => readFirstAnswer(bytes, 0)

function authentication(method: number, rest = ''): Buffer {
  const payload = Buffer.concat([Buffer.alloc(4), Buffer.from(rest)])
  payload.writeInt32BE(method)
  return frame('R', payload)
}

test('requests for authentication are told apart', () => {
  for (const [code, rest, method] of [
    [0, '', 'ok'],
    [3, '', 'password'],
    [5, 'salt', 'md5'],
    [10, 'SCRAM-SHA-256\0\0', 'sasl'],
    [7, '', 'other'],
    [-1, '', 'other'],
  ] as const) {
    const bytes = authentication(code, rest)
    assert.equal(checkEveryCut(read, bytes), bytes.length)
    assert.deepEqual(read(bytes), { kind: 'auth', method, size: bytes.length })
  }
})

test('not yet is told from no', () => {
  for (const [sqlstate, notYet] of [
    ['57P03', true],
    ['57P01', true],
    ['57P02', true],
    ['28P01', false],
    ['53300', false],
    ['3D000', false],
  ] as const) {
    const bytes = fatalError(sqlstate, 'words')
    assert.equal(checkEveryCut(read, bytes), bytes.length)
    const size = bytes.length
    const error = { sqlstate, severity: 'FATAL', message: 'words' }
    assert.deepEqual(read(bytes), { kind: 'refused', ...error, notYet, size })
  }
})

test('messages before the answer are stepped over', () => {
  const notice = frame('N', Buffer.from('SNOTICE\0Mhello\0\0'))
  const negotiation = frame('v', Buffer.from([0, 3, 0, 0, 0, 0, 0, 0]))
  const ok = authentication(0)
  const bytes = Buffer.concat([negotiation, notice, ok])
  assert.equal(checkEveryCut(read, negotiation), negotiation.length)
  assert.deepEqual(read(bytes), { kind: 'other', type: 'v', size: negotiation.length })
  const second = readFirstAnswer(bytes, negotiation.length)
  assert.deepEqual(second, { kind: 'other', type: 'N', size: notice.length })
  const third = readFirstAnswer(bytes, negotiation.length + notice.length)
  assert.deepEqual(third, { kind: 'auth', method: 'ok', size: 9 })
})

test('anything else is a violation at its first byte', () => {
  for (const text of ['HTTP/1.1 400', '\x15\x03', 'S', '\0', 'Z\0\0\0\x05I', 'K']) {
    const bytes = Buffer.from(text, 'latin1')
    assert.equal(checkEveryCut(read, bytes), 1, text)
    assert.equal(read(bytes).kind, 'violation')
  }
  assert.equal(read(frame('R', Buffer.alloc(3))).kind, 'violation')
})

test('long messages are refused before they are waited for', () => {
  const longest = frame('N', Buffer.alloc(FIRST_ANSWER_BYTES_MAX - 5))
  assert.equal(read(longest).kind, 'other')
  assert.equal(read(longest.subarray(0, 5)).kind, 'need-more')
  const tooLong = frame('N', Buffer.alloc(FIRST_ANSWER_BYTES_MAX - 4))
  assert.equal(read(tooLong.subarray(0, 5)).kind, 'violation')
  for (const length of [0, 3, 0x7fff_ffff, 0xffff_ffff]) {
    const bytes = Buffer.from('R\0\0\0\0', 'latin1')
    bytes.writeUInt32BE(length, 1)
    assert.equal(read(bytes).kind, 'violation')
  }
})

test('a server that could not fork says so outside the protocol', () => {
  const text = 'could not fork new process for connection: Cannot allocate memory'
  const bytes = Buffer.from(`E${text}\n\0`)
  const error = { sqlstate: '53000', severity: 'FATAL', message: text }
  assert.equal(checkEveryCut(read, bytes), bytes.length)
  assert.deepEqual(read(bytes), { kind: 'refused', ...error, notYet: false, size: bytes.length })
  const endless = Buffer.alloc(FIRST_ANSWER_BYTES_MAX, 0x45)
  assert.equal(read(endless.subarray(1)).kind, 'need-more')
  assert.equal(read(endless).kind, 'violation')
})

test('answers to SSLRequest are one byte, and nothing may follow', () => {
  const kinds = ['', 'S', 'N', 'E', 'Ecould not fork', 'Sx', 'Nx', 'x'].map(
    (text) => readTlsAnswer(Buffer.from(text)).kind,
  )
  const violation = 'violation'
  assert.deepEqual(kinds, [
    'need-more',
    'accepted',
    'refused',
    'error',
    'error',
    violation,
    violation,
    violation,
  ])
})

test('a login without a question shows whether the server is in recovery', () => {
  const parameter = (text: string) => frame('S', Buffer.from(text))
  const on = parameter('in_hot_standby\0on\0')
  const off = parameter('in_hot_standby\0off\0')
  const ready = frame('Z', Buffer.from('I'))
  const login = (...parts: Buffer[]) =>
    splitTrustLogin(Buffer.concat([authentication(0), parameter('TimeZone\0UTC\0'), ...parts]))
  const known = (seenHotStandby: boolean | null, complete: boolean) => ({
    seenHotStandby,
    complete,
    malformed: false,
  })
  assert.deepEqual(login(), known(null, false))
  assert.deepEqual(login(on), known(true, false))
  assert.deepEqual(login(off.subarray(0, -1)), known(null, false))
  assert.deepEqual(login(off), known(false, false))
  assert.deepEqual(login(off, ready), known(false, true))
  assert.deepEqual(login(ready), known(null, true))
  assert.deepEqual(login(fatalError('3D000', 'no such database')), known(null, true))
  assert.equal(login(Buffer.alloc(5)).malformed, true)
})
