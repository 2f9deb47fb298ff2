/** A control process with a bug ends, whether or not somebody reads its log. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'

const ROOT = new URL('../../', import.meta.url)
const END_MS = 10_000

/** Opens a log, writes `lines` long lines to it, and meets a bug. */
function startBuggy(t: TestContext, lines: number): ChildProcess {
  const script = `
    import { endOnBug } from './src/app/bug.ts'
    import { openLog } from './src/io/telemetry/log.ts'
    const log = await openLog({ level: 'info', format: 'json', base: {}, buffered: false })
    endOnBug(log, () => { throw new Error('another one') })
    for (let line = 0; line < ${lines}; line++) log.info({}, 'x'.repeat(1000))
    setInterval(() => undefined, 1000)
    setTimeout(() => { throw new Error('a bug') }, 50)`
  const args = ['--input-type=module', '--eval', script]
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'ignore', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  return child
}

test('it says why and exits with 1', async (t) => {
  const child = startBuggy(t, 1)
  let text = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  const [code] = await once(child, 'close', { signal: AbortSignal.timeout(END_MS) })
  assert.equal(code, 1)
  assert.match(text, /"level":"fatal".*a bug/)
})

test('it ends all the same when nobody reads the log', async (t) => {
  const child = startBuggy(t, 3000)
  await once(child, 'exit', { signal: AbortSignal.timeout(END_MS) })
})
