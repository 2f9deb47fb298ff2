/** A control process that starts while etcd is away: it goes on by what its workers know. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signalProcess } from '../../../src/io/processes/worker-process.ts'
import { startEtcd } from '../../rig/etcd.ts'
import { killed, openRig, pids, type Report } from './daemon-rig.ts'
import { Member } from './member.ts'

const PREFIX = '/service/rig/'
type Listeners = { route: { kind: string; cause?: string } }[]
const routeOf = (report: Report) => (report['listeners'] as Listeners)[0]!.route

test('new workers get the table of the old ones, and the leader is asked for its word', async (t) => {
  const rig = await openRig(t)
  const etcd = await startEtcd({ ports: rig.port + 10 })
  t.after(() => etcd.stop())
  const a = new Member(t, rig.port + 1)
  a.role = 'primary'
  await etcd.put(`${PREFIX}members/a`, a.key())
  await etcd.put(`${PREFIX}leader`, 'a')
  rig.write('mode: tunnel', etcd.endpoints[0])
  const first = rig.start()
  const before = await rig.settled((it) => it['leader'] === 'a' && it['stale'] === false)
  await killed(first)
  await etcd.kill(0)
  rig.start()
  await rig.settled((it) => it['leader'] === 'a')
  const [old] = pids(before) as [number]
  signalProcess(old, 'SIGKILL')
  const after = await rig.settled((it) => !pids(it).includes(old))
  assert.equal(routeOf(after).kind, 'open')
  assert.equal(after['stale'], true)
  const fresh = pids(after).find((pid) => !pids(before).includes(pid))
  const told = new RegExp(`"pid":${fresh},"name":"table","route":"open","leader":"a"`)
  await rig.events((text) => told.test(text))

  a.silence()
  const silent = await rig.settled((it) => routeOf(it).kind === 'held')
  assert.equal(routeOf(silent).cause, 'leader-unproven-while-stale')
  await etcd.start(0)
  await rig.settled((it) => routeOf(it).kind === 'open' && it['stale'] === false)
})
