/** Proves the rig itself: faults are really injected, and whatever was started ends. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import pg from 'pg'
import { startHaproxy } from '../rig/haproxy.ts'
import { startPatroni } from '../rig/patroni.ts'
import { startPgsteer } from '../rig/pgsteer.ts'
import { startPostgres } from '../rig/postgres.ts'
import { makeRig, openRig, type Rig } from '../rig/processes.ts'
import { until } from '../rig/wait.ts'

describe('rig', { timeout: 400_000 }, () => {
  test('a PostgreSQL with a standby: stop, kill, promote', async (t) => {
    const rig = await openRig(t)
    const primary = await startPostgres(rig, { settings: { wal_level: 'replica' } })
    const standby = await startPostgres(rig, { standbyOf: primary })
    assert.deepEqual(await standby.query('SELECT pg_is_in_recovery() AS r'), [{ r: true }])
    await primary.kill()
    assert.equal(primary.postmaster().isAlive(), false)
    await standby.promote()
    await standby.query('CREATE TABLE t (id int)')
    await standby.stop()
    assert.equal((await standby.postmaster().ended).code, 0)
    await primary.start()
  })

  test('a Patroni cluster, HAProxy and pgsteer: each fault is seen, then heals', async (t) => {
    const rig = await openRig(t)
    const cluster = await startPatroni(rig, { tuning: { ttl: 10 } })
    const servers = cluster.nodes.map((node) => ({
      name: node.name,
      port: node.postgres.port,
      checkPort: Number(new URL(node.rest).port),
    }))
    const tuned = { inter: '500ms', fall: 1, rise: 1 }
    const haproxy = await startHaproxy(rig, { servers, check: '/primary', ...tuned })
    const router = await startPgsteer(rig, { etcdHosts: cluster.etcdHosts })
    const write = Number(router.listeners['write']?.split(':')[1])
    const ports = [haproxy.port, write]

    const first = await cluster.awaitLeader()
    const second = await cluster.switchover()
    assert.notEqual(second, first)
    await allReach(cluster.appUrl, ports, cluster.node(second).postgres.port)
    await cluster.awaitHealthy()

    const oldPid = cluster.node(second).postmasterPid()
    await cluster.killPostmaster(second)
    const third = await cluster.awaitHealthy()
    assert.notEqual(cluster.node(second).postmasterPid(), oldPid)
    await allReach(cluster.appUrl, ports, cluster.node(third).postgres.port)

    await cluster.killNode(third)
    const killed = cluster.node(third).patroni()
    await until(() => !killed.isAlive(), { limitMs: 5000, what: 'end of a killed node' })
    const fourth = await cluster.awaitLeader(60_000, third)
    await allReach(cluster.appUrl, ports, cluster.node(fourth).postgres.port)
    await router.stop()
    assert.equal(router.daemon().isAlive(), false)
  })

  test('ends what detached, and its directory, in the right order', async () => {
    const rig = await makeRig()
    const order: string[] = []
    rig.defer(() => void order.push('first deferred'))
    rig.defer(() => void order.push('last deferred'))
    detach(rig)
    await until(() => rig.running().length > 0, { limitMs: 5000, what: 'detached process' })
    await rig.end()
    assert.deepEqual(rig.running(), [])
    assert.deepEqual(order, ['last deferred', 'first deferred'])
    assert.equal(existsSync(rig.dir), process.env['KEEP'] === '1')
  })

  test('ends what it started also when the test process is killed', async (t) => {
    const outer = await openRig(t)
    const script = `
      import { makeRig } from '${join(import.meta.dirname, '../rig/processes.ts')}'
      const rig = await makeRig()
      rig.start('/bin/sleep', ['1000'])
      console.log(rig.dir)
      setInterval(() => undefined, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, ...outer.keeper.env, KEEP: '' },
    })
    const dir = await new Promise<string>((resolve) =>
      child.stdout.once('data', (line: Buffer) => resolve(line.toString().trim())),
    )
    assert.ok(outer.running().some((line) => line.includes('sleep')))
    child.kill('SIGKILL')
    await until(() => outer.running().length === 0 && !existsSync(dir), {
      limitMs: 15_000,
      what: 'clean-up of a killed test',
    })
  })
})

function detach(rig: Rig): void {
  rig.start('/bin/sh', ['-c', 'setsid sleep 1000 & setsid sleep 1000 &'])
}

/** Every port leads to the server that listens on `to`, out of recovery. */
async function allReach(
  url: (host: string, port: number) => string,
  ports: readonly number[],
  to: number,
): Promise<void> {
  for (const port of ports) {
    await until(async () => (await askPort(url('127.0.0.1', port))) === to, {
      limitMs: 30_000,
      what: `way from port ${port} to the primary on ${to}`,
    })
  }
}

async function askPort(connectionString: string): Promise<number> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 5000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const sql = "SELECT current_setting('port')::int AS port WHERE NOT pg_is_in_recovery()"
    return (await client.query<{ port: number }>(sql)).rows[0]?.port ?? 0
  } finally {
    await client.end().catch(() => undefined)
  }
}
