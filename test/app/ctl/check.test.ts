import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { checkFile } from '../../../src/app/ctl/check.ts'

const HEAD = 'scope: demo\nname: n1\netcd3: {hosts: [127.0.0.1:2379]}\n'
const ROUTER = 'router:\n  listeners:\n    - {name: w, listen: "*:5000", target: primary}\n'
const PLAIN = { json: false, colour: false }

let dir = ''
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgsteer-check-'))
})
after(() => rmSync(dir, { recursive: true, force: true }))

function write(text: string): string {
  const path = join(dir, 'node.yml')
  writeFileSync(path, text)
  return path
}

test('a good file is ok', () => {
  const path = write(HEAD + ROUTER)
  const { text, exitCode } = checkFile(path, {}, PLAIN)
  assert.deepEqual([text, exitCode], [`${path}: ok (0 errors, 0 warnings)\n`, 0])
})

test('each problem is a line with its place, then a summary', () => {
  const path = write(`${HEAD}${ROUTER}  workers: 0\nrooter: {}\n`)
  const { text, exitCode } = checkFile(path, {}, PLAIN)
  const lines = text.trimEnd().split('\n')
  assert.equal(exitCode, 1)
  assert.ok(lines[0]!.startsWith(`${path}:7:3: error router.workers: found 0; accepted: `), text)
  assert.ok(lines[1]!.startsWith(`${path}:8:1: warning rooter: unknown key`), text)
  assert.equal(lines[2], `${path}: not usable (1 error, 1 warning)`)
})

test('warnings alone leave a file usable', () => {
  assert.equal(checkFile(write(`${HEAD}${ROUTER}rooter: {}\n`), {}, PLAIN).exitCode, 0)
})

test('the same as JSON', () => {
  const path = write(`${HEAD}${ROUTER}  workers: 0\n`)
  const { text, exitCode } = checkFile(path, {}, { json: true, colour: false })
  const { ok, file, errors, problems } = JSON.parse(text)
  assert.deepEqual([ok, file, errors, exitCode], [false, path, 1, 1])
  assert.deepEqual(
    [problems[0].path, problems[0].line, problems[0].column],
    ['router.workers', 7, 3],
  )
})

test('a missing file is a failure in words', () => {
  const { text, exitCode } = checkFile(join(dir, 'nope.yml'), {}, PLAIN)
  assert.match(text, /can't be read: no such file or directory/)
  assert.equal(exitCode, 1)
})
