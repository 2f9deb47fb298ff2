/** The cursors against dumb twins that collect the whole stream and look at it afterwards. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import {
  CLIENT_MALFORMED,
  ClientCursor,
  SAW_TERMINATE,
} from '../../../src/core/pgwire/client-stream.ts'
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

type Message = { type: string; payload: Buffer; headerEnd: number; end: number }

/** Whole messages of a stream and where following it stops making sense (its length if nowhere). */
function split(stream: Buffer): { messages: Message[]; brokenAt: number; restAt: number } {
  const messages: Message[] = []
  let at = 0
  while (at + 5 <= stream.length) {
    const length = stream.readInt32BE(at + 1)
    if (length < 4) return { messages, brokenAt: at + 5, restAt: at }
    const end = at + 1 + length
    const payload = stream.subarray(at + 5, end)
    messages.push({ type: String.fromCharCode(stream[at]!), payload, headerEnd: at + 5, end })
    at = end
  }
  return { messages, brokenAt: Number.POSITIVE_INFINITY, restAt: at }
}

function serverFlag({ type, payload }: Message): number {
  const text = payload.toString('latin1')
  if (type === 'Z') return payload.length === 1 ? SAW_READY_FOR_QUERY : SERVER_MALFORMED
  if (type === 'S' && text === 'in_hot_standby\0on\0') return SAW_HOT_STANDBY_ON
  if (type === 'S' && text === 'in_hot_standby\0off\0') return SAW_HOT_STANDBY_OFF
  if (type === 'K' && payload.length >= 8 && payload.length <= 260) return SAW_BACKEND_KEY
  if (type === 'E') return SAW_ERROR_RESPONSE
  if (type === 'W') return SAW_COPY_BOTH
  return type === 'R' && text === '\0\0\0\0' ? SAW_AUTHENTICATION_OK : 0
}

/** Flags of the bytes from `from` to `to`: those of the messages that end there. */
function serverTwin(stream: Buffer, from: number, to: number) {
  let { messages, brokenAt, restAt } = split(stream.subarray(0, to))
  const bad = messages.find(
    (message) => message.end <= to && serverFlag(message) === SERVER_MALFORMED,
  )
  if (bad !== undefined && bad.end < brokenAt) brokenAt = bad.end
  const seen = messages.filter((message) => message.end <= Math.min(to, brokenAt - 1))
  let flags = 0
  for (const message of seen) if (message.end > from) flags |= serverFlag(message)
  if (brokenAt <= from) flags = 0
  if (brokenAt <= to) flags |= SERVER_MALFORMED
  const last = (wanted: number) => seen.findLast((message) => (serverFlag(message) & wanted) !== 0)
  return {
    flags,
    atBoundary: brokenAt > to && restAt === to,
    transaction: statusOf(last(SAW_READY_FOR_QUERY)),
    key: last(SAW_BACKEND_KEY)?.payload ?? null,
    hotStandby: standbyOf(last(SAW_HOT_STANDBY_ON | SAW_HOT_STANDBY_OFF)),
  }
}

function statusOf(message: Message | undefined): string | null {
  const names: Record<string, string> = { I: 'idle', T: 'in-transaction', E: 'failed' }
  return message === undefined ? null : (names[message.payload.toString()] ?? null)
}

function standbyOf(message: Message | undefined): boolean | null {
  return message === undefined ? null : serverFlag(message) === SAW_HOT_STANDBY_ON
}

const payloads = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes))
const text = (...texts: string[]) => fc.constantFrom(...texts).map((value) => Buffer.from(value))

const serverMessage = fc.oneof(
  fc.tuple(fc.constantFrom('T', 'D', 'C', 'd', '1', 'N', 'A'), payloads(60)),
  fc.tuple(fc.constant('Z'), text('I', 'T', 'E', 'x')),
  fc.tuple(
    fc.constant('S'),
    text('in_hot_standby\0on\0', 'in_hot_standby\0off\0', 'in_hot_standby\0no\0', 'a\0b\0', ''),
  ),
  fc.tuple(
    fc.constant('K'),
    fc.uint8Array({ minLength: 4, maxLength: 12 }).map((b) => Buffer.from(b)),
  ),
  fc.tuple(
    fc.constant('K'),
    fc.integer({ min: 250, max: 270 }).map((size) => Buffer.alloc(size, size)),
  ),
  fc.tuple(fc.constant('E'), payloads(20)),
  fc.tuple(fc.constant('W'), payloads(3)),
  fc.tuple(fc.constant('R'), text('\0\0\0\0', '\0\0\0\x05salt', '\0\0\0\x03', '')),
)

/** Mostly right streams; some with rubbish in the middle, some cut off. */
function streams(message: fc.Arbitrary<[string, Buffer]>): fc.Arbitrary<Buffer> {
  const framed = message.map(([type, payload]) => frame(type, payload))
  const rubbish = fc.uint8Array({ minLength: 1, maxLength: 12 }).map((bytes) => Buffer.from(bytes))
  const piece = fc.oneof({ weight: 40, arbitrary: framed }, { weight: 1, arbitrary: rubbish })
  return fc.array(piece, { maxLength: 20 }).map((pieces) => Buffer.concat(pieces))
}

const cuts = fc.array(fc.nat(), { maxLength: 30 })

function partsOf(length: number, places: readonly number[]): [number, number][] {
  const inner = places.map((place) => place % (length + 1)).sort((a, b) => a - b)
  const ends = [...inner, length]
  return ends.map((end, index) => [index === 0 ? 0 : ends[index - 1]!, end])
}

test('the server cursor agrees with its twin after every part', () => {
  fc.assert(
    fc.property(streams(serverMessage), cuts, (stream, places) => {
      const cursor = new ServerCursor()
      for (const [from, to] of partsOf(stream.length, places)) {
        const flags = cursor.advance(stream.subarray(from), to - from)
        const twin = serverTwin(stream, from, to)
        assert.equal(flags, twin.flags, `flags of ${from} to ${to}`)
        assert.equal(cursor.atBoundary, twin.atBoundary)
        assert.equal(cursor.transaction, twin.transaction)
        assert.equal(cursor.hotStandby, twin.hotStandby)
        assert.deepEqual(cursor.backendKey, twin.key?.subarray(4) ?? null)
        assert.equal(cursor.backendPid, twin.key?.readInt32BE(0) ?? 0)
      }
    }),
    { numRuns: 2000 },
  )
})

function clientTwin(stream: Buffer, from: number, to: number) {
  const { messages, brokenAt, restAt } = split(stream.subarray(0, to))
  let flags = 0
  for (const { type, headerEnd } of messages) {
    if (type === 'X' && headerEnd > from && headerEnd <= to) flags |= SAW_TERMINATE
  }
  if (brokenAt <= to) flags |= CLIENT_MALFORMED
  return { flags, atBoundary: brokenAt > to && restAt === to }
}

test('the client cursor agrees with its twin after every part', () => {
  const message = fc.tuple(fc.constantFrom('Q', 'P', 'B', 'd', 'X', 'S'), payloads(40))
  fc.assert(
    fc.property(streams(message), cuts, (stream, places) => {
      const cursor = new ClientCursor()
      for (const [from, to] of partsOf(stream.length, places)) {
        const flags = cursor.advance(stream.subarray(from), to - from)
        assert.deepEqual({ flags, atBoundary: cursor.atBoundary }, clientTwin(stream, from, to))
      }
    }),
    { numRuns: 2000 },
  )
})

test('pure noise never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const chunk = Buffer.from(bytes)
      new ServerCursor().advance(chunk, chunk.length)
      new ClientCursor().advance(chunk, chunk.length)
    }),
    { numRuns: 2000 },
  )
})
