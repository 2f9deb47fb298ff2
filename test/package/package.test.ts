/** What is published: built JavaScript, and a command that works wherever npm puts it. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'

const ROOT = resolve(import.meta.dirname, '../..')
const NPM_LIMIT_MS = 240_000

const CONFIG = `
scope: demo
name: n1
etcd3: {hosts: ["127.0.0.1:2379"]}
restapi: {listen: "127.0.0.1:8008", connect_address: "127.0.0.1:8008"}
router:
  listeners:
    - {name: write, listen: "127.0.0.1:5000", target: primary, mode: tunnel}
`

type Result = { readonly code: number; readonly output: string; readonly error: string }

describe('package', { timeout: 600_000 }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'pgsteer-package-'))
  const prefix = join(dir, 'prefix')
  const command = join(prefix, 'bin', 'pgsteer')
  const installed = join(prefix, 'lib', 'node_modules', 'pgsteer')
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    version: string
  }
  let files: readonly string[] = []

  before(async () => {
    const packed = await run('npm', ['pack', '--json', '--pack-destination', dir], { cwd: ROOT })
    assert.equal(packed.code, 0, packed.error)
    files = packedFiles(packed.output)
    const tarball = join(dir, `pgsteer-${version}.tgz`)
    const flags = ['--prefer-offline', '--no-audit', '--no-fund']
    const install = ['install', '-g', '--prefix', prefix, ...flags, tarball]
    const done = await run('npm', install, { cwd: dir })
    assert.equal(done.code, 0, done.error)
  })
  after(() => rmSync(dir, { recursive: true, force: true }))

  test('holds what is needed to run, and neither sources nor tests', () => {
    for (const file of [
      'dist/main.js',
      'deploy/bin/pgsteer',
      'deploy/bin/find-node.sh',
      'LICENSE',
    ]) {
      assert.ok(files.includes(file), `${file} is missing`)
    }
    assert.deepEqual(
      files.filter((file) => /^(src|test)\/|\.ts$/.test(file)),
      [],
    )
  })

  test('says its version from any directory', async () => {
    const { code, output, error } = await run(command, ['version'], { cwd: '/' })
    assert.equal(code, 0, error)
    assert.ok(output.includes(version), output)
  })

  test('works through a symbolic link of the user', async () => {
    const link = join(dir, 'steer')
    symlinkSync(command, link)
    assert.equal((await run(link, ['version'], { cwd: '/' })).code, 0)
  })

  test('checks configurations', async () => {
    const good = join(dir, 'good.yml')
    writeFileSync(good, CONFIG)
    const accepted = await run(command, ['check', good], { cwd: '/' })
    assert.equal(accepted.code, 0, accepted.output + accepted.error)
    const bad = join(dir, 'bad.yml')
    writeFileSync(bad, CONFIG.replace('tunnel', 'teleport'))
    const refused = await run(command, ['check', bad], { cwd: '/' })
    assert.equal(refused.code, 1)
    assert.match(refused.output + refused.error, /teleport|mode/)
  })

  test('passes its own exit code and arguments on', async () => {
    assert.equal((await run(command, ['no such command'], { cwd: '/' })).code, 2)
  })

  test('runs with a Node that npm put beside it', async () => {
    const hoisted = join(dir, 'hoisted')
    mkdirSync(join(hoisted, 'pgsteer', 'deploy', 'bin'), { recursive: true })
    const result = await findNode(join(hoisted, 'pgsteer'), installed)
    assert.notEqual(result.output.trim(), '', 'the pinned one is not beside it yet')
    symlinkSync(join(installed, 'node_modules', pinnedName()), join(hoisted, pinnedName()))
    const beside = await findNode(join(hoisted, 'pgsteer'), installed)
    assert.match(beside.output, /hoisted/)
  })

  test('says what to install when no Node is new enough', async () => {
    const old = join(dir, 'old')
    mkdirSync(old)
    writeFileSync(join(old, 'node'), '#!/bin/sh\necho 20\n', { mode: 0o755 })
    const script =
      '. "$1/deploy/bin/find-node.sh"; find_node /nowhere || { echo "$NODE_WANTED"; exit 1; }'
    const env = { ...process.env, PATH: `${old}:/usr/bin:/bin` }
    const { code, output } = await run('/bin/sh', ['-c', script, 'sh', installed], {
      cwd: '/',
      env,
    })
    assert.equal(code, 1)
    assert.match(output, /needs Node\.js 24 or newer/)
  })
})

/** As the launcher asks, for a package directory that holds nothing; a new Node is on the PATH. */
function findNode(package_: string, installed: string): Promise<Result> {
  const script = '. "$1/deploy/bin/find-node.sh"; find_node "$2"'
  const env = { ...process.env, PATH: `${join(process.execPath, '..')}:${process.env['PATH']}` }
  return run('/bin/sh', ['-c', script, 'sh', installed, package_], { cwd: '/', env })
}

function pinnedName(): string {
  return `node-linux-${process.arch}`
}

/** npm 11 and older print a list with one entry, later ones an object keyed by name. */
function packedFiles(output: string): string[] {
  const report = JSON.parse(output.slice(output.search(/^[[{]/m))) as Record<string, unknown>
  const [first] = Object.values(report) as { files: { path: string }[] }[]
  return (first?.files ?? []).map(({ path }) => path)
}

type RunOptions = { readonly cwd: string; readonly env?: NodeJS.ProcessEnv }

/** npm must not take the settings of the `npm test` this may run under. */
function run(program: string, args: readonly string[], options: RunOptions): Promise<Result> {
  const inherited = Object.entries(options.env ?? process.env)
  const env = Object.fromEntries(
    inherited.filter(([name]) => !/^npm_(config_prefix|package|lifecycle)/.test(name)),
  )
  return new Promise((resolveRun) => {
    execFile(program, args, { ...options, env, timeout: NPM_LIMIT_MS }, (error, output, errors) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolveRun({ code, output, error: errors })
    })
  })
}
