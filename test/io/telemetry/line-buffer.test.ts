/** Few writes, none of them late, no line lost or cut in two. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineBuffer, WRITE_CHARS_MAX } from '../../../src/io/telemetry/line-buffer.ts'

function stage(t: import('node:test').TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const writes: string[] = []
  const buffer = new LineBuffer((text) => void writes.push(text))
  return { buffer, writes }
}

test('lines go out together after a moment, and nothing is written without lines', (t) => {
  const { buffer, writes } = stage(t)
  buffer.write('one\n')
  t.mock.timers.tick(100)
  buffer.write('two\n')
  assert.deepEqual(writes, [])
  t.mock.timers.tick(100)
  assert.deepEqual(writes, ['one\ntwo\n'])
  t.mock.timers.tick(1000)
  buffer.flush()
  assert.equal(writes.length, 1)
})

test('a warning takes all before it along at once', (t) => {
  const { buffer, writes } = stage(t)
  buffer.lastLevel = 30
  buffer.write('calm\n')
  buffer.lastLevel = 40
  buffer.write('urgent\n')
  assert.deepEqual(writes, ['calm\nurgent\n'])
})

test('no write cuts a line in two or takes more than a pipe does in one piece', (t) => {
  const { buffer, writes } = stage(t)
  const lines = Array.from({ length: 500 }, (_, index) => `${'x'.repeat(index)}\n`)
  for (const line of lines) buffer.write(line)
  buffer.flush()
  assert.equal(writes.join(''), lines.join(''))
  assert.ok(writes.every((text) => text.endsWith('\n') && text.length <= WRITE_CHARS_MAX))
  buffer.write(`${'y'.repeat(WRITE_CHARS_MAX)}\n`)
  buffer.write('z\n')
  t.mock.timers.tick(200)
  assert.deepEqual(
    writes.slice(-2).map((text) => text.length),
    [WRITE_CHARS_MAX + 1, 2],
  )
})
