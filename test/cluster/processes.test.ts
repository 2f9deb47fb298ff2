/** The processes of one router die, restart and hand over while its clients work on. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { after, describe, test } from 'node:test'
import pg from 'pg'
import type { RouterReport } from '../../src/core/api/router-report.ts'
import { signalProcess } from '../../src/io/processes/worker-process.ts'
import { until } from '../rig/wait.ts'
import { Load } from './load.ts'
import { logOf, openScene, report, reported, routeOf } from './scene.ts'

const LIMIT_MS = 30_000
/** "Within a second": from the death of a worker until its successor listens. */
const BACK_MS = 1000
/** Enough that the kernel gives some to each of two workers. */
const SESSIONS = 16

describe('processes of a router', { timeout: 300_000 }, async () => {
  const scene = await openScene({ nodes: 2, routers: 1, tuning: { ttl: 10 } })
  after(() => scene.end())
  const { rig, cluster } = scene
  const router = scene.routers[0]!
  const url = scene.url('write')
  await Load.prepare(url)

  const settled = (isIt: (it: RouterReport) => boolean = () => true) =>
    reported(router, 'two listening workers', (it) => isSettled(it) && isIt(it))

  /** Sessions that only sit there; `alive` asks each of them something. */
  async function openSessions() {
    const clients = await Promise.all(
      Array.from({ length: SESSIONS }, async () => {
        const client = new pg.Client({ connectionString: url })
        client.on('error', () => undefined)
        await client.connect()
        return client
      }),
    )
    const close = () => Promise.all(clients.map((it) => it.end().catch(() => undefined)))
    rig.defer(async () => void (await close()))
    return {
      close,
      async alive(): Promise<number> {
        const answers = await Promise.all(
          clients.map((it) =>
            it.query('SELECT 1').then(
              () => true,
              () => false,
            ),
          ),
        )
        return answers.filter((it) => it).length
      },
    }
  }

  async function switchAndFollow(load: Load): Promise<void> {
    await cluster.awaitHealthy()
    const leader = await cluster.switchover()
    await load.awaitWrites(performance.now(), LIMIT_MS, scene.port(leader))
    assert.equal(routeOf(await report(router), 'write'), `open ${leader}`)
    load.assertOnlyCut()
  }

  test('a worker is killed: its own clients only, and it is back within a second', async (t) => {
    const sessions = await openSessions()
    const victim = (await settled()).workers[0]!.pid
    const killedMs = performance.now()
    signalProcess(victim, 'SIGKILL')
    const it = await until(
      async () => {
        const now = await report(router)
        return isSettled(now) && now.workers.every(({ pid }) => pid !== victim) && now
      },
      { limitMs: LIMIT_MS, what: 'two workers again', everyMs: 10 },
    )
    const backMs = performance.now() - killedMs
    t.diagnostic(`back after ${Math.round(backMs)} ms`)
    assert.ok(backMs < BACK_MS, `${backMs} ms`)
    assert.equal(it.workers.filter(({ pid }) => pid === victim).length, 0)
    const alive = await sessions.alive()
    assert.ok(alive > 0 && alive < SESSIONS, `${alive} of ${SESSIONS} live on`)
    assert.equal(await sessions.alive(), alive)
    await sessions.close()
    await (await openSessions()).close()
  })

  test('the control process is killed: nobody notices, the next one takes over', async () => {
    const load = scene.newLoad()
    load.start([url], { writers: 2, probers: 1 })
    const sessions = await openSessions()
    const before = pids(await settled())
    await router.daemon().stop('SIGKILL')
    await load.awaitWrites(performance.now(), LIMIT_MS)
    assert.equal(await sessions.alive(), SESSIONS)
    router.start()
    const it = await settled()
    assert.deepEqual(pids(it), before)
    assert.equal(await sessions.alive(), SESSIONS)
    load.assertNoFailure()
    await switchAndFollow(load)
    assert.equal(await sessions.alive(), 0)
    await load.stop()
    await sessions.close()
  })

  test('the control process is killed during a switchover', async () => {
    await cluster.awaitHealthy()
    const load = scene.newLoad()
    load.start([url], { writers: 2, probers: 1 })
    await load.awaitWrites(performance.now(), LIMIT_MS)
    const before = pids(await settled())
    const sinceMs = performance.now()
    const old = await cluster.awaitLeader()
    const moving = cluster.switchover()
    await reported(router, 'hold', (it) => routeOf(it, 'write').startsWith('held'))
    await router.daemon().stop('SIGKILL')
    const leader = await moving
    router.start()
    assert.deepEqual(pids(await settled()), before)
    await load.awaitWrites(performance.now(), LIMIT_MS, scene.port(leader))
    load.assertOnlyCut()
    load.assertOnePrimary(sinceMs, scene.port(old), scene.port(leader))
    await load.stop()
    await load.assertKept(url)
  })

  test('SIGHUP: a faulty file changes nothing, a good one adds a listener', async () => {
    const sessions = await openSessions()
    const before = pids(await settled())
    const good = readFileSync(router.config, 'utf8')
    writeFileSync(router.config, good.replace('tunnel', 'nonsense'))
    router.daemon().signal('SIGHUP')
    await logged(/reload refused/)
    const port = rig.takePorts(1)
    const more = { name: 'more', listen: `127.0.0.1:${port}`, target: 'any', mode: 'tunnel' }
    const added = good.replace(/^( *)listeners:.*$/m, (line, indent: string) => {
      return `${line}\n${indent}  - ${JSON.stringify(more)}`
    })
    writeFileSync(router.config, added)
    router.daemon().signal('SIGHUP')
    await reported(router, 'new listener', (it) => it.listeners.some(({ name }) => name === 'more'))
    const client = new pg.Client({ connectionString: cluster.appUrl('127.0.0.1', port) })
    await until(() => client.connect().then(() => true), { limitMs: 5000, what: 'connection' })
    await client.end()
    assert.deepEqual(pids(await settled()), before)
    assert.equal(await sessions.alive(), SESSIONS)
    await sessions.close()
  })

  test('SIGUSR2 hands over under load: nobody notices, and routes follow', async () => {
    const load = scene.newLoad()
    load.start([url], { writers: 2, probers: 1 })
    const sessions = await openSessions()
    const before = await settled()
    const daemon = router.daemon()
    daemon.signal('SIGUSR2')
    assert.deepEqual(await daemon.ended, { code: 0, signal: null })
    const after = await settled((it) => it.control.pid !== before.control.pid)
    assert.deepEqual(pids(after), pids(before))
    assert.equal(await sessions.alive(), SESSIONS)
    load.assertNoFailure()
    await switchAndFollow(load)
    await load.stop()
    await sessions.close()
  })

  test('SIGTERM: sessions are told, all processes leave, every connection has its line', async () => {
    const sessions = await openSessions()
    const { control, workers } = await settled()
    process.kill(control.pid, 'SIGTERM')
    const left = [control.pid, ...workers.map(({ pid }) => pid)]
    await until(() => !left.some(isRunning), { limitMs: LIMIT_MS, what: 'end of all processes' })
    assert.equal(await sessions.alive(), 0)
    const ended = logOf(router).filter(({ msg }) => msg === 'connection ended')
    const ids = ended.map((line) => line['id'])
    assert.equal(new Set(ids).size, ids.length)
    assert.equal(ended.filter((line) => line['reason'] === 'draining').length, SESSIONS)
    await sessions.close()
  })

  function logged(what: RegExp): Promise<boolean> {
    const isIt = () => what.test(readFileSync(router.log, 'utf8'))
    return until(isIt, { limitMs: LIMIT_MS, what: `${what} in the log` })
  }
})

function isSettled(it: RouterReport): boolean {
  const serving = it.workers.filter(({ listening, connected }) => listening && connected)
  return serving.length === 2 && it.workers.length === 2 && it.listeners.length > 0
}

function pids(it: RouterReport): number[] {
  return it.workers.map(({ pid }) => pid)
}

function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
