import assert from 'node:assert/strict'
import test from 'node:test'
import { readOption } from '../../../src/core/pgwire/startup-options.ts'

/** What PostgreSQL 15 makes of the same options, where it does not refuse them. */
const CASES: readonly (readonly [options: string, expected: string | null])[] = [
  ['', null],
  ['-c pgsteer.target=replica', 'replica'],
  ['-cpgsteer.target=replica', 'replica'],
  ['--pgsteer.target=replica', 'replica'],
  ['-c PGSTEER.Target=replica', 'replica'],
  ['  -c\tpgsteer.target=replica  ', 'replica'],
  ['-c pgsteer.target=a -c pgsteer.target=b', 'b'],
  ['--pgsteer.target=a -cpgsteer.target=b', 'b'],
  ['-c pgsteer.target=a --work_mem=1MB', 'a'],
  ['-c pgsteer.target=a=b', 'a=b'],
  ['-c pgsteer.target=', ''],
  ['-c pgsteer.target=two\\ words', 'two words'],
  ['-c pgsteer.target=back\\\\slash', 'back\\slash'],
  ['-c pg\\steer.target=replica', 'replica'],
  ['-c\\ pgsteer.target=replica', null],
  ['-c work_mem=1MB', null],
  ['-c work_mem=pgsteer.target=x', null],
  ['-c xpgsteer.target=x', null],
  ['-c', null],
  ['-c pgsteer.target', null],
  ['-ec pgsteer.target=replica', 'replica'],
  ['-ecpgsteer.target=replica', 'replica'],
  ['-S 64 -c pgsteer.target=replica', 'replica'],
  ['-S -cpgsteer.target=x', null],
  ['-- -c pgsteer.target=x', null],
  ['-- pgsteer.target=x', null],
  ['pgsteer.target=x', null],
  ['-c pgsteer.target=repl\\', 'repl'],
]

for (const [options, expected] of CASES) {
  test(`options ${JSON.stringify(options)} set the target to ${expected}`, () => {
    assert.equal(readOption(options, 'pgsteer.target'), expected)
  })
}

test('dashes in a name count as underscores, dashes in a value stay', () => {
  assert.equal(readOption('--my-setting=a-b', 'my_setting'), 'a-b')
  assert.equal(readOption('-c my-setting=a-b', 'my_setting'), 'a-b')
})
