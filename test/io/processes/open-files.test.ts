/** The limit of open files: read, compared, and survived when it is reached. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { openFilesWarning } from '../../../src/app/control/open-files.ts'
import { readLimit } from '../../../src/io/processes/open-files.ts'

const ROOT = new URL('../../../', import.meta.url)
const LIMIT = 64

/** Runs `script` where no more than `LIMIT` files can be open; answers what it prints. */
function runLimited(script: string): string {
  const node = [process.execPath, '--input-type=module', '--eval', script]
  const args = ['-c', `ulimit -n ${LIMIT}; exec "$@"`, 'sh', ...node]
  return execFileSync('sh', args, { cwd: ROOT, encoding: 'utf8', timeout: 20_000 }).trim()
}

test('the limit is read as the kernel has it', () => {
  const script = `
    import { openFilesMax } from './src/io/processes/open-files.ts'
    console.log(openFilesMax())`
  assert.equal(runLimited(script), String(LIMIT))
  assert.equal(readLimit('Max open files   unlimited  unlimited  files\n'), Infinity)
  assert.equal(readLimit('nothing of the kind'), null)
})

test('out of descriptors the figures stay as they were', () => {
  const script = `
    import { openSync } from 'node:fs'
    import { watchProcess } from './src/io/telemetry/process-stats.ts'
    const watch = watchProcess()
    const before = watch.read().rssBytes
    let why
    while (why === undefined) {
      try { openSync('/dev/null') } catch (error) { why = error.code }
    }
    console.log(why, before > 0 && watch.read().rssBytes === before)
    process.exit()`
  assert.equal(runLimited(script), 'EMFILE true')
})

test('a limit too low for the clients allowed is told with numbers', () => {
  assert.equal(openFilesWarning(10_000, 20_200), null)
  assert.equal(openFilesWarning(10_000, null), null)
  assert.match(
    openFilesWarning(10_000, 1024) ?? '',
    /1024 files.*max_clients: 10000 may take 20200/,
  )
})
