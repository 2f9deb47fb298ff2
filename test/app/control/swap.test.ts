/** From a key in a real etcd to the workers: tables, swap, its latency, and a restart in between. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startEtcd } from '../../rig/etcd.ts'
import { killed, openRig, pids } from './daemon-rig.ts'
import { Member } from './member.ts'

const PREFIX = '/service/rig/'

test('a new leader is served when it is out of recovery, and the swap is measured', async (t) => {
  const rig = await openRig(t)
  const etcd = await startEtcd({ ports: rig.port + 10 })
  t.after(() => etcd.stop())
  const a = new Member(t, rig.port + 1)
  const b = new Member(t, rig.port + 2)
  a.role = 'primary'
  await etcd.put(`${PREFIX}members/a`, a.key())
  await etcd.put(`${PREFIX}members/b`, b.key())
  await etcd.put(`${PREFIX}leader`, 'a')
  rig.write('mode: tunnel', etcd.endpoints[0])
  const first = rig.start()
  const before = await rig.settled((it) => it['leader'] === 'a' && it['stale'] === false)
  assert.equal((await rig.get('/health')).status, 200)
  assert.equal(await rig.metric('pgsteer_route_open{listener="write",target="primary"}'), 1)

  await etcd.del(`${PREFIX}leader`)
  a.role = 'replica'
  await etcd.put(`${PREFIX}leader`, 'b')
  await rig.events((text) => text.includes('leader-not-out-of-recovery'))
  b.role = 'primary'
  const events = await rig.events((text) => text.includes('event: swap'))
  const swap = events.split('\n\n').find((it) => it.includes('event: swap'))
  assert.match(swap ?? '', /"leader":"b","latency_ms":\d/)
  assert.equal(await rig.metric('pgsteer_swaps_total'), 1)
  assert.equal(await rig.metric('pgsteer_swap_seconds_count'), 1)

  await killed(first)
  rig.start()
  const after = await rig.settled((it) => it['leader'] === 'b')
  assert.deepEqual(pids(after), pids(before))
})
