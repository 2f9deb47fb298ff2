/** The demo as people and programs use it: one ready line, a switchover, and nothing left behind. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, test } from 'node:test'
import pg from 'pg'
import { mainScript } from '../../src/app/demo/pgsteer-node.ts'
import { takenPorts } from '../../src/app/demo/ports.ts'
import { openRig, type Rig } from '../rig/processes.ts'
import { until } from '../rig/wait.ts'

const READY_MS = 90_000
const END_MS = 30_000

type Ready = {
  readonly ready: true
  readonly write: string
  readonly read: string
  readonly pooled: string
  readonly dir: string
  readonly etcd: { readonly endpoints: readonly string[]; readonly pid: number }
  readonly nodes: readonly {
    readonly name: string
    readonly config: string
    readonly pid: number
    readonly rest: string
    readonly postgres: { readonly host: string; readonly port: number; readonly data_dir: string }
    readonly listeners: Readonly<Record<'write' | 'read' | 'pooled', string>>
    readonly patroni: { readonly config: string; readonly pid: number; readonly rest: string }
  }[]
}

describe('demo', { timeout: 400_000 }, () => {
  test('prints one line once writes work, follows a switchover, leaves nothing', async (t) => {
    const rig = await openRig(t)
    const demo = startDemo(rig, ['--json', '--nodes', '2'])
    const ready = await demo.ready
    assert.equal(ready.nodes.length, 2)
    assert.equal(ready.pooled, ready.write)
    assert.equal((await ask(ready.write, 'SELECT pg_is_in_recovery() AS r'))['r'], false)
    assert.equal((await ask(ready.read, 'SELECT pg_is_in_recovery() AS r'))['r'], true)
    assert.equal((await ask(ready.write, 'SHOW data_checksums'))['data_checksums'], 'on')
    assert.equal((await ask(ready.write, 'SHOW fsync'))['fsync'], 'on')
    const before = (await ask(ready.write, 'SHOW port'))['port']
    const config = ready.nodes[0]?.patroni.config ?? ''
    await run(rig.programs.patronictl, ['-c', config, 'switchover', 'demo', '--force'])
    const after = await until(
      async () => {
        const { port } = await ask(ready.write, 'SHOW port')
        return port !== before && port
      },
      { limitMs: 30_000, what: 'write route to the new primary' },
    )
    assert.notEqual(after, before)
    await ask(ready.write, 'CREATE TABLE after_switchover (id int) ')
    await restartByHand(ready)
    demo.child.kill('SIGINT')
    assert.equal(await demo.code, 0)
    assert.deepEqual(demo.lines, [demo.lines[0]])
    assertNothingLeft(ready)
    const ports = ready.nodes.flatMap((it) => [it.rest, `tcp://${it.listeners.write}`])
    assert.deepEqual(await takenPorts(ports.map((url) => Number(new URL(url).port))), [])
  })

  test('killed with -9 leaves nothing for ever', async (t) => {
    const rig = await openRig(t)
    const dir = join(rig.dir, 'demo')
    const demo = startDemo(rig, ['--json', '--nodes', '1', '--dir', dir])
    const ready = await demo.ready
    assert.equal(ready.dir, dir)
    demo.child.kill('SIGKILL')
    await until(() => !existsSync(dir) && usersOf(ready).length === 0, {
      limitMs: END_MS,
      what: 'clean-up after the demo was killed',
    })
  })

  test('interrupted while it starts ends at once, with nothing left', async (t) => {
    const rig = await openRig(t)
    const dir = join(rig.dir, 'demo')
    const demo = startDemo(rig, ['--json', '--dir', dir])
    await until(() => existsSync(join(dir, 'n1', 'data')), { limitMs: READY_MS, what: 'data' })
    demo.child.kill('SIGTERM')
    assert.equal(await demo.code, 0)
    assert.equal(existsSync(dir), false)
    assert.deepEqual(processesNaming(dir), [])
    demo.ready.catch(() => undefined)
  })

  test('says which ports are taken, and refuses a directory with something in it', async (t) => {
    const rig = await openRig(t)
    const base = rig.takePorts(20)
    const server = createServer().listen(base + 15, '127.0.0.1')
    t.after(() => server.close())
    const blocked = await runPgsteer(['demo', '--nodes', '1', '--base-port', String(base)])
    assert.equal(blocked.code, 1)
    assert.match(blocked.error, new RegExp(`ports in use: ${base + 15};`))
    const dir = mkdtempSync(join(rig.dir, 'full-'))
    writeFileSync(join(dir, 'precious'), 'kept')
    const args = ['demo', '--base-port', String(base + 100), '--dir', dir]
    const refused = await runPgsteer(args)
    assert.equal(refused.code, 1)
    assert.match(refused.error, /is not empty/)
    assert.deepEqual(readdirSync(dir), ['precious'])
  })

  test('wrong options are wrong usage', async () => {
    for (const args of [
      ['--nodes', '0'],
      ['--base-port', 'x'],
      ['--agent', 'other'],
    ]) {
      assert.equal((await runPgsteer(['demo', ...args])).code, 2, args.join(' '))
    }
  })

  test('without the programs it says what to install', async (t) => {
    const rig = await openRig(t)
    const empty = join(rig.dir, 'empty')
    mkdirSync(empty)
    const { findPrograms } = await import('../../src/app/demo/machine.ts')
    assert.throws(
      () => findPrograms([empty], empty),
      /not installed: etcd, patroni, .*npm run setup/,
    )
  })
})

/** As from another terminal: nothing of ours marks the new daemon. */
async function restartByHand(ready: Ready): Promise<void> {
  const [node] = ready.nodes
  assert.ok(node)
  process.kill(node.pid, 'SIGTERM')
  await until(() => !existsSync(`/proc/${node.pid}`), { limitMs: 30_000, what: 'end of pgsteer' })
  spawn(process.execPath, [mainScript(), 'run', node.config], { stdio: 'ignore', detached: true })
  await until(async () => (await fetch(`${node.rest}/health`)).status === 200, {
    limitMs: 20_000,
    what: 'pgsteer started by hand',
  })
}

type RunningDemo = {
  readonly child: ChildProcess
  readonly ready: Promise<Ready>
  readonly code: Promise<number | null>
  readonly lines: readonly string[]
}

function startDemo(rig: Rig, args: readonly string[]): RunningDemo {
  const base = rig.takePorts(40)
  const child = spawn(
    process.execPath,
    [mainScript(), 'demo', '--base-port', String(base), ...args],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...rig.keeper.env }, cwd: '/' },
  )
  const lines: string[] = []
  const said: string[] = []
  child.stderr.on('data', (part: Buffer) => said.push(part.toString()))
  const output = createInterface({ input: child.stdout })
  output.on('line', (line) => lines.push(line))
  const code = new Promise<number | null>((resolve) => child.once('close', resolve))
  const ready = until(() => lines[0] ?? (child.exitCode !== null && 'ended'), {
    limitMs: READY_MS,
    what: 'ready line',
  }).then((line) => {
    if (line === 'ended') throw new Error(`the demo ended: ${said.join('')}`)
    return JSON.parse(line) as Ready
  })
  rig.defer(async () => {
    child.kill('SIGTERM')
    await code
  })
  return { child, ready, code, lines }
}

function assertNothingLeft(ready: Ready): void {
  assert.equal(existsSync(ready.dir), false)
  assert.deepEqual(usersOf(ready), [])
}

function usersOf(ready: Ready): string[] {
  return processesNaming(ready.dir)
}

/** Command lines of living processes that name a path. */
function processesNaming(path: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((pid) => readCommandLine(pid))
    .filter((line) => line.includes(`${path}/`))
}

function readCommandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

async function ask(url: string, sql: string): Promise<Record<string, unknown>> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 30_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return (await client.query<Record<string, unknown>>(sql)).rows[0] ?? {}
  } finally {
    await client.end().catch(() => undefined)
  }
}

type Result = { readonly code: number | null; readonly output: string; readonly error: string }

function runPgsteer(args: readonly string[]): Promise<Result> {
  return collect(spawn(process.execPath, [mainScript(), ...args]))
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { code, output, error } = await collect(spawn(program, args))
  assert.equal(code, 0, output + error)
}

function collect(child: ChildProcess): Promise<Result> {
  const texts = { output: '', error: '' }
  child.stdout?.on('data', (part: Buffer) => {
    texts.output += part.toString()
  })
  child.stderr?.on('data', (part: Buffer) => {
    texts.error += part.toString()
  })
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...texts })))
}
