/** A worker that can't use its settings stays in touch until it gets better ones. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startFakeControl, tcpListener, workerSettings } from '../../rig/fake-control.ts'
import { makeRig } from '../../rig/processes.ts'
import { until } from '../../rig/wait.ts'

const LIMIT = { limitMs: 5000, everyMs: 20 }

test('settings that fail are told, the worker goes on reporting and takes the next', async (t) => {
  const rig = await makeRig()
  t.after(() => rig.end())
  const listeners = [tcpListener(rig.takePorts(1))]
  const clientTls = { mode: 'prefer', cert: 'nothing', key: 'nothing', ca: null } as const
  const control = await startFakeControl(rig, workerSettings({ listeners, clientTls }))
  const worker = await control.start()
  assert.equal(control.heard('listening')[0]?.faults[0]?.listener, '*')
  await until(() => control.heard('stats').length > 0, { ...LIMIT, what: 'stats' })
  await control.configure({ clientTls: null })
  assert.deepEqual(control.heard('listening').at(-1)?.faults, [])
  assert.ok(worker.child.isAlive())
})
