/**
 * Readers, tags, targets and the rarer states of a cluster, through three routers side by side.
 * Patroni: "Replica reads", tag `noloadbalance`, "Pause mode", "Failover", "Standby cluster".
 */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import pg from 'pg'
import { cancelRequest } from '../../src/core/pgwire/messages.ts'
import { runClient } from '../io/sockets/psql.ts'
import { connectRaw } from '../rig/raw-peer.ts'
import { until } from '../rig/wait.ts'
import { describeFailure, query } from './load.ts'
import { openScene, type report, reported, routeOf } from './scene.ts'

const LIMIT_MS = 30_000
/** For routers that see the same event: how far apart they may follow it. */
const TOGETHER_MS = 1000
const SHUNNED = 'n3'

describe('readers and rare states', { timeout: 400_000 }, async () => {
  const scene = await openScene({
    routers: 3,
    tuning: { ttl: 10 },
    tags: { [SHUNNED]: { noloadbalance: true } },
  })
  after(() => scene.end())
  const { rig, cluster, routers } = scene
  const write = scene.url('write')
  const read = scene.url('read')
  const where = async (url: string) => {
    const [row] = await query(url, "SELECT current_setting('port')::int AS port")
    return Number(row?.['port'])
  }
  const reader = () =>
    cluster.nodes.map(({ name }) => name).filter((name) => name !== SHUNNED && name !== leaderName)
  let leaderName = await cluster.awaitLeader()

  /** Brings the lead to `n1` or `n2`, so that the shunned node stays a replica. */
  async function awaitBase(): Promise<{ leader: string; replica: string }> {
    leaderName = await cluster.awaitHealthy()
    if (leaderName === SHUNNED) {
      leaderName = await cluster.switchover('n1')
      await cluster.awaitHealthy()
    }
    const replica = reader()[0]!
    for (const router of routers) {
      await reported(router, 'reader', (it) => routeOf(it, 'read') === `open ${replica}`)
      await reported(router, 'writer', (it) => routeOf(it, 'write') === `open ${leaderName}`)
    }
    return { leader: leaderName, replica }
  }

  test('readers go to replicas, not to those tagged noloadbalance', async () => {
    const { leader, replica } = await awaitBase()
    for (let i = 0; i < 6; i++) assert.equal(await where(read), scene.port(replica))
    assert.equal(await where(write), scene.port(leader))
  })

  test('pgsteer.target chooses another target than the listener', async () => {
    const { leader, replica } = await awaitBase()
    const as = (url: string, target: string) => `${url}?options=-c%20pgsteer.target%3D${target}`
    assert.equal(await where(as(write, 'replica')), scene.port(replica))
    assert.equal(await where(as(read, 'primary')), scene.port(leader))
    assert.ok([leader, replica].map(scene.port).includes(await where(as(write, 'any'))))
    const words = await where(as(write, 'nobody')).catch((error: Error) => error.message)
    assert.match(String(words), /nobody/)
  })

  test('a cancel request is served by another router of the cluster', async () => {
    const { error, took } = await cancelThrough(1)
    assert.equal(error, '57014')
    assert.ok(took < 10_000)
  })

  test('pg_basebackup and pg_receivewal work through the write port', async () => {
    const { host, port, user, password } = new pg.Client({ connectionString: write })
    const env = { PGPASSWORD: String(password), PGUSER: String(user) }
    const at = ['-h', host, '-p', String(port)]
    const dir = join(rig.dir, 'taken')
    mkdirSync(dir)
    const base = join(dir, 'base')
    const taken = await runClient(
      rig,
      'pg_basebackup',
      [...at, '-D', base, '-X', 'stream', '-c', 'fast'],
      env,
    )
    assert.equal(taken.code, 0, taken.err)
    assert.ok(readdirSync(base).includes('backup_manifest'))
    const checked = await runClient(rig, 'pg_verifybackup', [base], env)
    assert.equal(checked.code, 0, checked.err)
    const [row] = await query(write, 'SELECT pg_current_wal_lsn() AS lsn')
    const walDir = join(dir, 'wal')
    mkdirSync(walDir)
    const upTo = ['-D', walDir, '--endpos', String(row?.['lsn']), '--no-loop', '-s', '1']
    const wal = await runClient(rig, 'pg_receivewal', [...at, ...upTo], env)
    assert.equal(wal.code, 0, wal.err)
    assert.ok(readdirSync(walDir).length > 0)
  })

  test('a switchover: routers follow together, a session on the promoted replica is cut', async (t) => {
    const { replica } = await awaitBase()
    const session = new pg.Client({ connectionString: read })
    let ending: unknown
    session.on('error', (error) => {
      ending ??= error
    })
    await session.connect()
    assert.equal((await session.query('SHOW port')).rows[0].port, String(scene.port(replica)))
    const followed = Promise.all(
      routers.map(async (router) => {
        await reported(router, replica, (it) => routeOf(it, 'write') === `open ${replica}`)
        return performance.now()
      }),
    )
    await cluster.switchover(replica)
    const times = await followed
    const apart = Math.max(...times) - Math.min(...times)
    t.diagnostic(`${Math.round(apart)} ms apart`)
    assert.ok(apart < TOGETHER_MS)
    await until(() => ending, { limitMs: LIMIT_MS, what: 'end of the session' })
    assert.equal(describeFailure(ending).code, '57P01')
    await session.end().catch(() => undefined)
  })

  test('a replica is killed: readers fall back to the primary, and return', async () => {
    const { leader, replica } = await awaitBase()
    const session = new pg.Client({ connectionString: read })
    let isOver = false
    session.on('error', () => undefined)
    session.on('end', () => {
      isOver = true
    })
    await session.connect()
    await cluster.killNode(replica)
    await until(() => isOver, { limitMs: LIMIT_MS, what: 'end of the session' })
    assert.equal(await where(read), scene.port(leader))
    cluster.node(replica).start()
    await awaitBase()
    assert.equal(await where(read), scene.port(replica))
  })

  test('paused, the primary is gone, then a failover by hand', async () => {
    const { leader, replica } = await awaitBase()
    await ctl('pause', '--wait', cluster.scope)
    assert.equal(await where(write), scene.port(leader))
    await cluster.killPostmaster(leader)
    const it = await reported(routers[0]!, 'hold', (now) =>
      routeOf(now, 'write').startsWith('held'),
    )
    assert.match(routeOf(it, 'write'), /no-leader|leader-unreachable|not-out-of-recovery/)
    const waiting = where(write)
    await reported(routers[0]!, 'no leader', (now) => routeOf(now, 'write') === 'held no-leader')
    await ctl('failover', cluster.scope, '--candidate', replica, '--force')
    assert.equal(await waiting, scene.port(replica))
    await ctl('resume', '--wait', cluster.scope)
    await cluster.awaitHealthy(60_000)
  })

  test('a standby cluster takes no writes, and says so', async () => {
    await awaitBase()
    await ctl(
      'edit-config',
      cluster.scope,
      '--force',
      '--set',
      `standby_cluster.port=${rig.takePorts(1)}`,
      '--set',
      'standby_cluster.host=127.0.0.1',
    )
    for (const router of routers) {
      const it = await reported(
        router,
        'hold',
        (now) => routeOf(now, 'write') === 'held standby-cluster',
      )
      assert.match(words(it), /standby cluster/)
    }
    const waiting = where(write)
    await ctl('edit-config', cluster.scope, '--force', '--set', 'standby_cluster=null')
    assert.ok((await waiting) > 0)
    for (const router of routers) {
      await reported(router, 'writes', (it) => routeOf(it, 'write').startsWith('open'), 60_000)
    }
  })

  async function ctl(...args: readonly string[]): Promise<void> {
    const { code, output } = await cluster.patronictl(args)
    assert.equal(code, 0, output)
  }

  function words(it: Awaited<ReturnType<typeof report>>): string {
    const route = it.listeners.find(({ name }) => name === 'write')?.route
    return route?.kind === 'held' ? route.words : ''
  }

  /** A long statement through the first router, cancelled through another. */
  async function cancelThrough(router: number): Promise<{ error: string; took: number }> {
    const client = new pg.Client({ connectionString: write })
    await client.connect()
    const sinceMs = performance.now()
    const asleep = client.query('SELECT pg_sleep(30)').then(
      () => 'slept',
      (error: { code: string }) => error.code,
    )
    await until(
      async () => {
        const active =
          "state = 'active' AND query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()"
        return (await query(write, `SELECT 1 FROM pg_stat_activity WHERE ${active}`)).length > 0
      },
      { limitMs: LIMIT_MS, what: 'sleeping statement' },
    )
    await sendCancel(client, scene.url('write', router))
    const error = await asleep
    await client.end()
    return { error, took: performance.now() - sinceMs }
  }
})

async function sendCancel(client: pg.Client, url: string): Promise<void> {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
  const key = Buffer.alloc(4)
  key.writeInt32BE(secretKey)
  const { host, port } = new pg.Client({ connectionString: url })
  const raw = await connectRaw({ host, port })
  raw.write(cancelRequest(processID, key))
  await raw.end()
  raw.close()
}
