/** Cancel requests reach the right server, and never do anything else. */
import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { cancelRequest } from '../../../src/core/pgwire/messages.ts'
import { primaryAt } from '../../rig/fake-control.ts'
import {
  type FakeServer,
  loginAnswer,
  resetFakeServers,
  startFakeServer,
} from '../../rig/fake-server.ts'
import { closeRawPeers, connectRaw, loginRaw } from '../../rig/raw-peer.ts'
import { until } from '../../rig/wait.ts'
import { limits, openWorld } from './world.ts'

const world = await openWorld()
const { rig, control, port } = world
after(() => world.end())

const KEY = Buffer.from('abcd')
const LONG_KEY = Buffer.alloc(200, 'k')
const servers: FakeServer[] = []
for (let number = 0; number < 3; number++) {
  servers.push(
    await startFakeServer(rig, (peer) => peer.write(loginAnswer('off', 100 + number, KEY))),
  )
}
const [a, b, c] = servers as [FakeServer, FakeServer, FakeServer]
const members = servers.map((server, at) => primaryAt(server.port, `n${at + 1}`))

beforeEach(async () => {
  closeRawPeers()
  resetFakeServers()
  await control.awaitClients(0)
  for (const server of servers) server.cancels.length = 0
  await control.open(members[0]!)
  await control.route({ members })
})

async function cancel(bytes: Buffer) {
  const end = await world.endOf(async () => {
    const client = await connectRaw({ port })
    client.write(bytes)
    assert.equal((await client.end()).length, 0)
    client.close()
  })
  assert.equal(end.reason, 'cancel-request')
}

test('of a session this worker knows: to its server alone, word for word', async () => {
  const client = await loginRaw({ port })
  await client.messagesUntil('Z')
  await cancel(cancelRequest(100, KEY))
  assert.deepEqual(a.cancels, [cancelRequest(100, KEY)])
  assert.deepEqual([b.cancels, c.cancels], [[], []])
  client.close()
})

test('of one it does not know, or with a wrong key: to all, who judge it themselves', async () => {
  const client = await loginRaw({ port })
  await client.messagesUntil('Z')
  for (const bytes of [cancelRequest(100, Buffer.from('nope')), cancelRequest(7, KEY)]) {
    for (const server of servers) server.cancels.length = 0
    await cancel(bytes)
    for (const server of servers) assert.deepEqual(server.cancels, [bytes])
  }
  client.close()
})

test('keys of protocol 3.2, 4 to 256 bytes', async () => {
  a.script = (peer) => peer.write(loginAnswer('off', 42, LONG_KEY))
  const client = await loginRaw({ port })
  await client.messagesUntil('Z')
  await cancel(cancelRequest(42, LONG_KEY))
  assert.deepEqual([a.cancels.length, b.cancels.length], [1, 0])
  await cancel(cancelRequest(42, LONG_KEY.subarray(0, 199)))
  assert.deepEqual([a.cancels.length, b.cancels.length], [2, 1])
  client.close()
})

test('a dead member does not keep it from the others', async () => {
  await control.route({ members: [...members, primaryAt(1, 'dead')] })
  await cancel(cancelRequest(7, KEY))
  assert.deepEqual(
    servers.map(({ cancels }) => cancels.length),
    [1, 1, 1],
  )
})

test('it works while nobody leads, and when max_clients is reached', async () => {
  await control.configure({ limits: limits({ maxClients: 1 }) })
  const client = await loginRaw({ port })
  await client.messagesUntil('Z')
  const second = await loginRaw({ port })
  assert.match(await second.error(), /^FATAL 53300 too many clients already/)
  await control.hold()
  await cancel(cancelRequest(100, Buffer.from('nope')))
  assert.equal(b.cancels.length, 1)
  await control.configure({ limits: limits({}) })
  client.close()
  second.close()
})

test('cut at any byte it is still one', async () => {
  const bytes = cancelRequest(7, KEY)
  for (let at = 1; at < bytes.length; at++) {
    const client = await connectRaw({ port })
    client.write(bytes.subarray(0, at))
    await new Promise(setImmediate)
    client.write(bytes.subarray(at))
    await client.end()
    client.close()
  }
  await until(() => a.cancels.length === bytes.length - 1, { limitMs: 2000, what: 'cancels' })
  assert.ok(a.cancels.every((got) => got.equals(bytes)))
})
