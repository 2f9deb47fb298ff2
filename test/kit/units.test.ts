import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/kit/units.ts'

test('durations carry a unit', () => {
  const cases: [unknown, number | null][] = [
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5m', 90_000],
    ['2 h', 7_200_000],
    [' 5s ', 5000],
    ['0', 0],
    [0, 0],
    ['30', null],
    [30, null],
    ['-1s', null],
    ['1d', null],
    ['1S', null],
    ['s', null],
    ['1s1', null],
    ['', null],
    [null, null],
    [{}, null],
  ]
  for (const [given, expected] of cases) assert.equal(parseDuration(given), expected, String(given))
})

test('sizes are powers of 1024', () => {
  const cases: [unknown, number | null][] = [
    ['16MB', 16 * 1024 ** 2],
    ['8kB', 8192],
    ['1.5GB', 1.5 * 1024 ** 3],
    ['512B', 512],
    ['512', 512],
    [1048576, 1048576],
    ['1KB', null],
    ['1mb', null],
    [-1, null],
    [1.5, null],
    [Number.NaN, null],
    ['999999999999999GB', null],
    [true, null],
  ]
  for (const [given, expected] of cases) assert.equal(parseSize(given), expected, String(given))
})

test('what is formatted is read back', () => {
  fc.assert(
    fc.property(fc.nat(10 ** 9), (n) => {
      assert.equal(parseDuration(formatDuration(n)), n)
      assert.equal(parseSize(formatSize(n)), n)
    }),
  )
})
