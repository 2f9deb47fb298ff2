/**
 * What applications notice while the primary changes: nobody who connects gets an error, nobody
 * meets a read-only server, nothing that was acknowledged is lost. Synchronous replication, so that
 * what is lost would be lost by a router. Patroni: "Switchover", "Failover", "synchronous_mode".
 */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { Load } from './load.ts'
import { openScene, reported, routeOf } from './scene.ts'

const TTL_S = 10
/** Bounds for a loaded machine, not goals: benchmarks measure. */
const SWITCHOVER_MS = 20_000
const CRASH_MS = 40_000
const NODE_LOSS_MS = TTL_S * 1000 + 40_000

describe('the primary changes under load', { timeout: 400_000 }, async () => {
  const scene = await openScene({
    routers: 3,
    tuning: { ttl: TTL_S, synchronous: true },
  })
  after(() => scene.end())
  const { cluster, routers } = scene
  const load = scene.newLoad()
  const urls = routers.map((_, index) => scene.url('write', index))
  await Load.prepare(urls[0]!)
  load.start(urls, { writers: 2, probers: 1 })
  await load.awaitWrites(0, 20_000)

  /** Patroni promotes a synchronous standby only: there has to be one. */
  async function awaitSync(): Promise<string> {
    const leader = await cluster.awaitHealthy()
    await reported(routers[0]!, 'synchronous standby', (it) => it.members.some(({ sync }) => sync))
    return leader
  }

  async function event(
    name: 'switchover' | 'postmaster' | 'node',
    limitMs: number,
    hurt: () => Promise<unknown>,
  ) {
    const before = await cluster.awaitLeader()
    const sinceMs = performance.now()
    const failures = load.failures.length
    await hurt()
    const leader = await cluster.awaitLeader(limitMs)
    await load.awaitWrites(performance.now(), limitMs, scene.port(leader))
    load.assertOnlyCut(sinceMs, name !== 'switchover')
    load.assertOnePrimary(sinceMs, scene.port(before), scene.port(leader))
    const codes = load.failures.slice(failures).map(({ stage, code }) => `${stage} ${code}`)
    const gap = Math.round(load.gapMs(sinceMs))
    return { before, leader, words: `${name}: ${gap} ms without a write, cut: ${codes.join(', ')}` }
  }

  for (const turn of [1, 2, 3]) {
    test(`switchover ${turn}`, async (t) => {
      await awaitSync()
      const it = await event('switchover', SWITCHOVER_MS, () => cluster.switchover())
      assert.notEqual(it.leader, it.before)
      t.diagnostic(it.words)
    })
  }

  for (const turn of [1, 2]) {
    test(`postmaster killed ${turn}`, async (t) => {
      const name = await awaitSync()
      const it = await event('postmaster', CRASH_MS, () => cluster.killPostmaster(name))
      t.diagnostic(it.words)
    })
  }

  test('node killed', async (t) => {
    const name = await awaitSync()
    const it = await event('node', NODE_LOSS_MS, async () => {
      await cluster.killNode(name)
      await cluster.awaitLeader(NODE_LOSS_MS, name)
    })
    assert.notEqual(it.leader, name)
    t.diagnostic(it.words)
    for (const router of routers) {
      await reported(router, 'route', (now) => routeOf(now, 'write') === `open ${it.leader}`)
    }
  })

  test('nothing that was acknowledged is lost', async (t) => {
    await load.stop()
    await load.assertKept(scene.url('write'))
    t.diagnostic(`${load.acks.length} writes, ${load.failures.length} sessions cut`)
    assert.ok(load.failures.length > 0, 'the faults were real')
  })
})
