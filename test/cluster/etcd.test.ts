/**
 * etcd hangs, dies, returns; and an agent that dies and leaves its PostgreSQL writable. Routers keep
 * what works and never send a write to the older of two primaries. Patroni: "DCS Failsafe Mode".
 */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { startEtcd } from '../../src/app/demo/etcd.ts'
import { until } from '../rig/wait.ts'
import { Load, query } from './load.ts'
import { logOf, openScene, type report, reported, routeOf } from './scene.ts'

const TTL_S = 10
const LIMIT_MS = 40_000
/** How long etcd is away: well past the ttl. `PGSTEER_ETCD_AWAY_MS` for longer ones by hand. */
const HANG_MS = Number(process.env['PGSTEER_ETCD_AWAY_MS'] ?? 30_000)
const DEATH_MS = TTL_S * 1000 + 5000

describe('etcd and agents fail', { timeout: 500_000 }, async () => {
  const scene = await openScene({ routers: 2, tuning: { ttl: TTL_S } })
  after(() => scene.end())
  const { rig, cluster, routers } = scene
  const urls = routers.map((_, index) => scene.url('write', index))
  await Load.prepare(urls[0]!)
  let etcd = cluster.etcd!.child

  async function startLoad(): Promise<Load> {
    const load = scene.newLoad()
    load.start(urls, { writers: 2, probers: 1 })
    await load.awaitWrites(performance.now(), LIMIT_MS)
    return load
  }

  /** Under load, nothing happens to anybody for `awayMs`; the routers say what they know. */
  async function assertUnnoticed(load: Load, sinceMs: number, awayMs: number): Promise<void> {
    const line = logOf(routers[0]!).length
    for (const router of routers) {
      const it = await reported(router, 'stale', ({ stale }) => stale)
      assert.equal(it.etcd.state, 'lost')
      assert.ok(it.etcd.why)
      assert.ok(Math.abs(Date.parse(it.etcd.since ?? '') - Date.now()) < awayMs)
      assert.equal(routeOf(it, 'write'), `open ${it.leader}`)
    }
    await until(() => performance.now() - sinceMs > awayMs, { limitMs: awayMs + 5000, what: 'end' })
    await load.awaitWrites(performance.now(), LIMIT_MS)
    load.assertNoFailure(sinceMs)
    const lines = logOf(routers[0]!, line)
    assert.equal(lines.filter((it) => it['because'] === 'etcd-lost').length, 1)
    assert.deepEqual(
      lines.filter((it) => String(it['because']).startsWith('write-')),
      [],
    )
  }

  /** All keys are there again: those of leases that ran out meanwhile are put anew. */
  async function awaitWhole(): Promise<string> {
    const leader = await cluster.awaitHealthy()
    const isWhole = (it: Awaited<ReturnType<typeof report>>) =>
      !it.stale && isOpen(it) && it.members.length === 3
    for (const router of routers) await reported(router, 'whole view', isWhole)
    return leader
  }

  async function assertFollows(load: Load): Promise<void> {
    await awaitWhole()
    const leader = await cluster.switchover()
    await load.awaitWrites(performance.now(), LIMIT_MS, scene.port(leader))
    load.assertOnlyCut()
  }

  test('hangs under load: nobody notices; then the next switchover is followed', async (t) => {
    const load = await startLoad()
    const sinceMs = performance.now()
    etcd.signal('SIGSTOP')
    try {
      await assertUnnoticed(load, sinceMs, HANG_MS)
    } finally {
      etcd.signal('SIGCONT')
    }
    t.diagnostic(`${load.acks.length} writes, longest gap ${Math.round(load.gapMs(sinceMs))} ms`)
    await assertFollows(load)
    await load.stop()
    await load.assertKept(urls[0]!)
  })

  test('killed under load and started again: the same', async () => {
    await awaitWhole()
    const load = await startLoad()
    const sinceMs = performance.now()
    await etcd.stop('SIGKILL')
    await assertUnnoticed(load, sinceMs, DEATH_MS)
    etcd = await restartEtcd()
    await assertFollows(load)
    await load.stop()
    await load.assertKept(urls[0]!)
  })

  test('away while the primary dies: clients wait and are told why; all recovers', async () => {
    const leader = await awaitWhole()
    const load = await startLoad()
    etcd.signal('SIGSTOP')
    try {
      for (const router of routers) await reported(router, 'stale', ({ stale }) => stale)
      await cluster.killNode(leader)
      for (const router of routers) {
        const it = await reported(router, 'held route', (now) =>
          routeOf(now, 'write').startsWith('held'),
        )
        assert.match(routeOf(it, 'write'), /leader-unproven-while-stale|leader-unreachable/)
        assert.equal(it.stale, true)
      }
      load.assertOnlyCut(0, true)
    } finally {
      etcd.signal('SIGCONT')
    }
    const sinceMs = performance.now()
    cluster.node(leader).start()
    await load.awaitWrites(sinceMs, 60_000)
    load.assertOnlyCut(0, true)
    await load.stop()
  })

  test('an agent dies, its PostgreSQL stays writable: no session and no write stays there', async () => {
    const old = await awaitWhole()
    const load = await startLoad()
    const oldUrl = cluster.appUrl('127.0.0.1', scene.port(old))
    const killedMs = performance.now()
    cluster.node(old).patroni().signal('SIGKILL')
    const its = await Promise.all(
      routers.map((router) =>
        reported(router, 'another leader', (it) => it.leader !== old && isOpen(it)),
      ),
    )
    const publishedMs = performance.now()
    const next = its[0]!.leader!
    assert.ok(publishedMs - killedMs < TTL_S * 1000 + LIMIT_MS)
    await load.awaitWrites(publishedMs, LIMIT_MS, scene.port(next), 50)
    assert.deepEqual((await query(oldUrl, 'SELECT pg_is_in_recovery() AS r'))[0], { r: false })
    await query(oldUrl, "INSERT INTO written (id) VALUES ('by hand')") // it would take writes
    await load.stop()
    load.assertOnlyCut()
    load.assertOnePrimary(killedMs, scene.port(old), scene.port(next))
    const ids = async (url: string) =>
      (await query(url, 'SELECT id FROM written')).map((row) => String(row['id']))
    const there = new Set(await ids(urls[0]!))
    const onlyOld = (await ids(oldUrl)).filter((id) => !there.has(id) && id !== 'by hand')
    const afterwards = load.acks.filter(({ beganMs }) => beganMs >= publishedMs)
    assert.deepEqual(
      afterwards.filter(({ port }) => port !== scene.port(next)),
      [],
    )
    assert.deepEqual(
      afterwards.filter(({ id }) => onlyOld.includes(id)),
      [],
    )
    assert.deepEqual(await sessionsOf(oldUrl), [])
  })

  async function restartEtcd() {
    const client = Number(new URL(cluster.etcd!.endpoint).port)
    return (
      await startEtcd(rig.keeper, rig.programs.etcd, { client, peer: client + 1 }, rig.account)
    ).child
  }
})

function isOpen(it: Awaited<ReturnType<typeof report>>): boolean {
  return routeOf(it, 'write') === `open ${it.leader}`
}

/** Sessions of applications on a server, other than the one that asks. */
function sessionsOf(url: string) {
  const others = "backend_type = 'client backend' AND usename = 'app' AND pid <> pg_backend_pid()"
  return query(url, `SELECT pid, state FROM pg_stat_activity WHERE ${others}`)
}
