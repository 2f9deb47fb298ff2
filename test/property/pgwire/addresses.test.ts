/** Our address matcher against the one of the platform, which `core` may not import. */
import assert from 'node:assert/strict'
import { BlockList, isIP } from 'node:net'
import test from 'node:test'
import fc from 'fast-check'
import {
  compileTrusted,
  formatAddress,
  inTrusted,
  parseAddress,
} from '../../../src/core/pgwire/addresses.ts'

test('the same texts are addresses', () => {
  const almost = fc.string({ unit: fc.constantFrom(...'0123456789abcdef::..'), maxLength: 24 })
  fc.assert(
    fc.property(fc.oneof(almost, fc.ipV4(), fc.ipV6()), (text) => {
      assert.equal(parseAddress(text) !== null, isIP(text) !== 0, text)
    }),
    { numRuns: 3000 },
  )
})

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const bytes = parseAddress(text)!
      assert.equal(isIP(formatAddress(bytes)), bytes.length === 4 ? 4 : 6)
      assert.deepEqual(parseAddress(formatAddress(bytes)), bytes)
    }),
  )
})

for (const family of ['ipv4', 'ipv6'] as const) {
  test(`the same ${family} addresses are in a block`, () => {
    const width = family === 'ipv4' ? 4 : 16
    const address = fc.uint8Array({ minLength: width, maxLength: width })
    const cases = fc.tuple(address, fc.nat(width * 8), fc.nat(width * 8 - 1))
    fc.assert(
      fc.property(cases, ([network, bits, flipped]) => {
        // One flipped bit near the end of the prefix decides: random pairs would hardly ever match.
        const probe = Uint8Array.from(network)
        probe[flipped >> 3]! ^= 0x80 >> (flipped & 7)
        const blocks = new BlockList()
        blocks.addSubnet(formatAddress(network), bits, family)
        const { list } = compileTrusted([`${formatAddress(network)}/${bits}`])
        for (const bytes of [network, probe]) {
          const text = formatAddress(bytes)
          assert.equal(inTrusted(list, text), blocks.check(text, family), `${text} in /${bits}`)
        }
      }),
      { numRuns: 1000 },
    )
  })
}
