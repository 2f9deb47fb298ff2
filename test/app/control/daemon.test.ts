/** The control process as a process: its workers, its REST, its signals. No etcd, no PostgreSQL. */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isWorkerAlive, signalProcess } from '../../../src/io/processes/worker-process.ts'
import { until } from '../../rig/wait.ts'
import { exitCode, killed, notedPids, openRig, pids } from './daemon-rig.ts'

const COUNTED = 'pgsteer_connections_total{listener="write"}'
const LIMIT = { limitMs: 15_000, everyMs: 20 }

test('a killed worker is back within a second, the other one and the counters untouched', async (t) => {
  const rig = await openRig(t)
  rig.start()
  const [victim, other] = pids(await rig.settled()) as [number, number]
  const counted = await until(() => rig.metric(COUNTED), { ...LIMIT, what: 'counter' })
  const killedAtMs = performance.now()
  signalProcess(victim, 'SIGKILL')
  const after = await rig.settled((it) => !pids(it).includes(victim))
  assert.ok(performance.now() - killedAtMs < 1000, `${performance.now() - killedAtMs} ms`)
  assert.ok(pids(after).includes(other))
  assert.ok(((await rig.metric(COUNTED)) ?? 0) >= counted)
  assert.equal(await rig.metric('pgsteer_worker_restarts_total'), 1)
})

test('a killed control process leaves its workers, the next one adopts them', async (t) => {
  const rig = await openRig(t)
  const first = rig.start()
  const before = pids(await rig.settled())
  await killed(first)
  for (const pid of before) assert.ok(isWorkerAlive(pid, rig.socket), `worker ${pid} died too`)
  rig.start()
  assert.deepEqual(pids(await rig.settled()), before)
  assert.deepEqual(notedPids(rig.runDir).sort(), before.toSorted())
  assert.equal(await rig.metric('pgsteer_worker_restarts_total'), 0)
  assert.doesNotMatch(rig.output, /draining worker/)
})

test('a frozen worker is replaced', async (t) => {
  const rig = await openRig(t)
  rig.start()
  const [frozen] = pids(await rig.settled()) as [number]
  signalProcess(frozen, 'SIGSTOP')
  await rig.settled((it) => !pids(it).includes(frozen))
  assert.equal(isWorkerAlive(frozen, rig.socket), false)
})

test('only one daemon for a run directory; SIGTERM leaves nothing behind', async (t) => {
  const rig = await openRig(t)
  const daemon = rig.start()
  const workers = pids(await rig.settled())
  assert.equal(await exitCode(rig.start()), 1)
  await rig.logged(/another pgsteer already runs as n1/)
  daemon.kill('SIGTERM')
  assert.equal(await exitCode(daemon), 0)
  for (const pid of workers) assert.equal(isWorkerAlive(pid, rig.socket), false)
  assert.deepEqual(notedPids(rig.runDir), [])
})

test('a faulty file changes nothing on SIGHUP, a good one is applied', async (t) => {
  const rig = await openRig(t)
  const daemon = rig.start()
  const before = pids(await rig.settled())
  rig.write('mode: nonsense')
  daemon.kill('SIGHUP')
  await rig.logged(/accepted: tunnel.*reload refused/)
  rig.write('mode: tunnel, balance: random')
  daemon.kill('SIGHUP')
  await rig.logged(/configuration reloaded/)
  assert.deepEqual(pids(await rig.report()), before)
})

test('SIGUSR2 hands over to a successor that keeps the workers', async (t) => {
  const rig = await openRig(t)
  const daemon = rig.start()
  const before = await rig.settled()
  daemon.kill('SIGUSR2')
  assert.equal(await exitCode(daemon), 0)
  const after = await rig.settled((it) => it.control.pid !== before.control.pid)
  assert.deepEqual(pids(after), pids(before))
})

test('a run directory that takes no notes costs nothing but the notes', async (t) => {
  const rig = await openRig(t)
  for (const index of [0, 1]) {
    mkdirSync(join(rig.runDir, `worker-${index}.json.new`), { recursive: true, mode: 0o700 })
  }
  rig.start()
  await rig.settled()
  await rig.logged(/the run directory can not be used/)
})

test('REST: the picture, health in words, 404 as JSON, events replayed', async (t) => {
  const rig = await openRig(t)
  rig.start()
  const report = await rig.settled()
  const keys = ['name', 'scope', 'version', 'etcd', 'stale', 'term', 'leader', 'members', 'pools']
  for (const key of keys) assert.ok(key in report, key)
  const [listener] = report['listeners'] as { addresses: string[]; route: { cause: string } }[]
  assert.deepEqual(listener?.addresses, ['127.0.0.1:1'])
  assert.equal(listener?.route.cause, 'cluster-unknown')
  const health = await rig.get('/health')
  assert.equal(health.status, 503)
  assert.match(await health.text(), /cluster is not known/)
  const unknown = await rig.get('/nope')
  assert.deepEqual(
    [unknown.status, await unknown.json()],
    [404, { error: 'there is no GET /nope' }],
  )
  assert.deepEqual(await (await rig.get('/clients')).json(), { clients: [], complete: true })
  const events = await rig.events((text) => text.split('event: worker-serving').length > 2)
  assert.match(events, /^id: \S+-1$/m)
})

test('workers share one limit through the control socket', async (t) => {
  const rig = await openRig(t)
  rig.start()
  await rig.settled()
  const granted = /"name":"granted","slot":"clients","count":(\d+)/g
  const text = await rig.events((it) => [...it.matchAll(granted)].length >= 2)
  const counts = [...text.matchAll(granted)].map((it) => Number(it[1]))
  assert.ok(counts[0]! > 0)
  assert.ok(counts.reduce((a, b) => a + b, 0) <= 40, `${counts}`)
})
