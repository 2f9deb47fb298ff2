/** A reload that names another etcd: what it shows must count as newer, whatever its revision. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EtcdLink } from '../../../src/app/control/etcd-link.ts'
import type { Snapshot } from '../../../src/core/cluster/types.ts'
import type { EtcdSettings } from '../../../src/io/etcd/follower.ts'
import type { Log } from '../../../src/io/telemetry/log.ts'
import { startEtcd } from '../../rig/etcd.ts'
import { claimPorts } from '../../rig/ports.ts'
import { until } from '../../rig/wait.ts'

const PREFIX = '/service/rig/'
const quiet = () => undefined
const LOG: Log = {
  ...{ debug: quiet, info: quiet, warn: quiet, error: quiet, fatal: quiet },
  level: 'silent',
  child: () => LOG,
}

function at(endpoint: string): EtcdSettings {
  const open = { username: null, password: null, ca: null, cert: null, key: null }
  return { endpoints: [endpoint], protocol: 'http', ...open }
}

test('another etcd is another store, the same one by other settings is not', async (t) => {
  const ports = await claimPorts()
  t.after(() => ports.release())
  const first = await startEtcd({ ports: ports.base })
  t.after(() => first.stop())
  const second = await startEtcd({ ports: ports.base + 10 })
  t.after(() => second.stop())
  for (const name of ['a', 'b', 'c', 'd']) await first.put(`${PREFIX}leader`, name)
  await second.put(`${PREFIX}leader`, 'e')

  const shown: Snapshot[] = []
  const link = new EtcdLink(at(first.endpoints[0]!), PREFIX, {
    log: LOG,
    onSnapshot: (snapshot) => shown.push(snapshot),
    onHealth: quiet,
  })
  t.after(() => link.close())
  const leads = (name: string) => {
    const look = () => shown.at(-1)?.entries.get('leader')?.value === name
    return until(look, { limitMs: 10_000, what: `leader ${name}`, everyMs: 10 })
  }
  await leads('d')
  assert.equal(link.reopen(at(second.endpoints[0]!)), true)
  await leads('e')
  const [before, after] = [shown.at(-2)!, shown.at(-1)!]
  assert.ok(after.revision < before.revision, 'the rig should make the second etcd look older')
  assert.equal(after.store, before.store + 1)

  const loads = shown.length
  const localhost = second.endpoints[0]!.replace('127.0.0.1', 'localhost')
  assert.equal(link.reopen(at(localhost)), true)
  await until(() => shown.length > loads, { limitMs: 10_000, what: 'load', everyMs: 10 })
  assert.equal(shown.at(-1)!.store, after.store)
})
