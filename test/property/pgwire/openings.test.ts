/** Hostile bytes against everything that reads before a login. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { readError } from '../../../src/core/pgwire/errors.ts'
import { FIRST_ANSWER_BYTES_MAX, readFirstAnswer } from '../../../src/core/pgwire/first-answer.ts'
import { startupPacket } from '../../../src/core/pgwire/messages.ts'
import { PROXY_V2_BYTES_MAX, parseProxyHeader } from '../../../src/core/pgwire/proxy-protocol.ts'
import { parseOpening, STARTUP_BYTES_MAX } from '../../../src/core/pgwire/startup.ts'

type Parser = { parse: (bytes: Buffer) => { kind: string }; bytesMax: number; seeds: Buffer[] }

const PARSERS: Readonly<Record<string, Parser>> = {
  parseOpening: {
    parse: parseOpening,
    bytesMax: STARTUP_BYTES_MAX,
    seeds: [
      startupPacket([
        ['user', 'ann'],
        ['options', '-c pgsteer.target=any'],
      ]),
      Buffer.from('\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02', 'latin1'),
    ],
  },
  readFirstAnswer: {
    parse: (bytes) => readFirstAnswer(bytes, 0),
    bytesMax: FIRST_ANSWER_BYTES_MAX,
    seeds: [
      Buffer.from('E\0\0\0\x12SFATAL\0C57P03\0\0', 'latin1'),
      Buffer.from('R\0\0\0\x08\0\0\0\0'),
    ],
  },
  parseProxyHeader: {
    parse: parseProxyHeader,
    bytesMax: PROXY_V2_BYTES_MAX,
    seeds: [
      Buffer.from('PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n'),
      Buffer.from(
        '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x09\0\x0a',
        'latin1',
      ),
    ],
  },
}

const noise = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes))

/** A right packet with a few bytes changed: gets further into a parser than noise does. */
function damaged(seeds: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const change = fc.tuple(fc.nat(), fc.nat(255))
  return fc
    .tuple(fc.constantFrom(...seeds), fc.array(change, { maxLength: 4 }))
    .map(([seed, changes]) => {
      const bytes = Buffer.from(seed)
      for (const [at, value] of changes) bytes[at % bytes.length] = value
      return bytes
    })
}

for (const [name, { parse, bytesMax, seeds }] of Object.entries(PARSERS)) {
  test(`${name} answers any bytes, and the same however they arrive`, () => {
    fc.assert(
      fc.property(fc.oneof(noise, damaged(seeds)), (bytes) => {
        const whole = parse(bytes)
        let decided = false
        for (let cut = 0; cut <= bytes.length; cut++) {
          const answer = parse(bytes.subarray(0, cut))
          if (answer.kind === 'need-more') assert.equal(decided, false)
          else {
            decided = true
            assert.deepEqual(answer, whole)
          }
        }
        assert.equal(decided, whole.kind !== 'need-more')
      }),
      { numRuns: 300 },
    )
  })

  test(`${name} waits for no more than its limit`, () => {
    fc.assert(
      fc.property(fc.oneof(noise, damaged(seeds)), fc.nat(255), (bytes, filler) => {
        const full = Buffer.concat([bytes, Buffer.alloc(bytesMax, filler)]).subarray(0, bytesMax)
        assert.notEqual(parse(full).kind, 'need-more')
      }),
      { numRuns: 300 },
    )
  })
}

test('parameters that are sent are the parameters that are read', () => {
  const text = fc
    .string({ unit: 'grapheme', maxLength: 30 })
    .map((value) => value.replaceAll('\0', ''))
  const pairs = fc.array(
    fc.tuple(
      text.filter((name) => name !== ''),
      text,
    ),
    { maxLength: 20 },
  )
  fc.assert(
    fc.property(pairs, fc.nat(0xffff), (parameters, minor) => {
      const bytes = startupPacket(parameters, { major: 3, minor })
      const opening = parseOpening(bytes)
      assert.ok(opening.kind === 'startup')
      assert.deepEqual(opening.parameters, new Map(parameters))
      assert.equal(opening.protocol.minor, minor)
    }),
  )
})

test('no payload of an error makes its reader throw', () => {
  fc.assert(fc.property(noise, (bytes) => typeof readError(bytes).message === 'string'))
})
