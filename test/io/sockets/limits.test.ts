/** What bounds clients in number and time, and how startup packets may arrive. */
import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { GSSENC_REQUEST, startupPacket } from '../../../src/core/pgwire/messages.ts'
import { primaryAt, tcpListener } from '../../rig/fake-control.ts'
import { echoScript, resetFakeServers, startFakeServer } from '../../rig/fake-server.ts'
import {
  closeRawPeers,
  connectRaw,
  hello,
  loginRaw,
  type RawPeer,
  SSL_REQUEST,
} from '../../rig/raw-peer.ts'
import { pause, until } from '../../rig/wait.ts'
import { limits, openWorld } from './world.ts'

const world = await openWorld()
const { rig, control, worker, port } = world
after(() => world.end())
const server = await startFakeServer(rig, echoScript('x'))

beforeEach(async () => {
  closeRawPeers()
  resetFakeServers()
  await control.awaitClients(0)
  await control.configure({ limits: limits({}) })
  await control.open(primaryAt(server.port))
})

/** Says it in two parts, cut at `at`, and waits in between until the first has been read. */
async function sayCut(client: RawPeer, bytes: Buffer, at: number): Promise<void> {
  client.write(bytes.subarray(0, at))
  await pause(1)
  client.write(bytes.subarray(at))
}

test('every startup form, cut at every byte', async () => {
  const plain = hello({ options: '-c pgsteer.target=primary' })
  const forms = {
    startup: [plain],
    'protocol 3.2': [startupPacket([['user', 'u']], { major: 3, minor: 2 })],
    'SSLRequest first': [SSL_REQUEST, plain],
    'GSSENCRequest, SSLRequest': [GSSENC_REQUEST, SSL_REQUEST, plain],
  }
  for (const [form, packets] of Object.entries(forms)) {
    const size = packets.reduce((sum, packet) => sum + packet.length, 0)
    const seen = server.startups.length
    const runs = Array.from({ length: size - 1 }, (_, at) => runCut(packets, at + 1))
    await Promise.all(runs)
    assert.equal(server.startups.length - seen, size - 1, form)
    assert.ok(
      server.startups.slice(seen).every((got) => got.equals(packets.at(-1)!)),
      form,
    )
  }
})

async function runCut(packets: readonly Buffer[], cutAt: number): Promise<void> {
  const client = await connectRaw({ port })
  let before = 0
  for (const [index, packet] of packets.entries()) {
    const at = cutAt - before
    if (at > 0 && at < packet.length) await sayCut(client, packet, at)
    else client.write(packet)
    before += packet.length
    if (index < packets.length - 1) assert.equal((await client.read(1)).toString(), 'N')
  }
  await client.messagesUntil('Z')
  client.close()
}

test('malformed startup packets: 08P01', async () => {
  const version2 = Buffer.from([0, 0, 0, 8, 0, 2, 0, 0])
  const huge = Buffer.from([0x7f, 0xff, 0xff, 0xff])
  const noEnd = hello().fill(0x61, 8)
  for (const bytes of [version2, huge, noEnd, Buffer.from('GET / HTTP/1.1\r\n\r\n')]) {
    const client = await connectRaw({ port })
    client.write(bytes)
    assert.match(await client.error(), /^FATAL 08P01 protocol violation/)
    await client.end()
    client.close()
  }
  const end = await world.endOf(async () => {
    const client = await connectRaw({ port })
    client.write(Buffer.concat([SSL_REQUEST, hello()])) // not waiting for the answer
    assert.match(await client.error(), /^FATAL 08P01 protocol violation/)
    await client.end()
    client.close()
  })
  assert.equal(end.reason, 'protocol-violation')
})

test('pgsteer.target narrows the route; a wrong value is 22023', async () => {
  await control.route({
    routes: {
      write: {
        primary: { kind: 'held', cause: 'no-leader', words: 'nobody leads' },
        replica: {
          kind: 'open',
          balance: 'leastconn',
          backends: [{ member: 'r1', host: '127.0.0.1', port: server.port, role: 'replica' }],
        },
        sync: { kind: 'held', cause: 'no-sync-standby', words: 'none' },
        any: { kind: 'held', cause: 'no-member', words: 'none' },
      },
    },
  })
  const client = await loginRaw({ port }, { options: '-c pgsteer.target=replica' })
  await client.messagesUntil('Z')
  assert.equal((await control.clients())[0]!.target, 'replica')
  client.close()
  await control.awaitClients(0)
  const end = await world.endOf(async () => {
    const wrong = await loginRaw({ port }, { 'pgsteer.target': 'master' })
    assert.match(await wrong.error(), /^FATAL 22023 .*"pgsteer.target": "master"/)
    await wrong.end()
    wrong.close()
  })
  assert.equal(end.reason, 'protocol-violation')
})

test('login timeout: a client that says nothing, or half a packet, is let go', async () => {
  await control.configure({ limits: limits({ loginTimeoutMs: 250 }) })
  for (const bytes of [Buffer.alloc(0), hello().subarray(0, 20)]) {
    const sinceMs = performance.now()
    const end = await world.endOf(async () => {
      const client = await connectRaw({ port })
      client.write(bytes)
      assert.match(await client.error(), /^FATAL 57014 canceling login due to timeout/)
      client.close()
    })
    assert.equal(end.reason, 'login-timeout')
    assert.ok(performance.now() - sinceMs >= 240)
  }
})

test('a health check that says nothing and leaves is called so', async () => {
  const end = await world.endOf(async () => (await connectRaw({ port })).close())
  assert.equal(end.reason, 'said-nothing')
})

test('max_clients holds over two workers together, exactly, and places come back', async () => {
  await control.configure({ limits: limits({ maxClients: 50 }) })
  const other = await control.start()
  const connectAll = async (count: number) => {
    const clients = await Promise.all(Array.from({ length: count }, () => loginRaw({ port })))
    const answers = await Promise.all(
      clients.map(async (client) => {
        const { type, payload } = await client.message()
        if (type === 'E') assert.match(payload.toString(), /C53300\0Mtoo many clients already/)
        return type
      }),
    )
    return { clients, refused: answers.filter((type) => type === 'E').length }
  }
  for (let round = 0; round < 3; round++) {
    const { clients, refused } = await connectAll(70)
    assert.equal(refused, 20)
    const perWorker = (await control.clients()).length
    assert.equal(perWorker, 50)
    for (const client of clients) client.close()
    await control.awaitClients(0)
  }
  const both = () => other.ends().length > 0 && worker.ends().length > 0
  await until(both, { limitMs: 2000, what: 'work for both' })
  await other.child.stop('SIGKILL')
  await until(() => control.joined === 1, { limitMs: 2000, what: 'loss of the worker' })
})

test('beyond max_clients only so many are heard out; a cancel request could be one of them', async () => {
  await control.configure({ limits: limits({ maxClients: 1 }) })
  const first = await loginRaw({ port })
  await first.messagesUntil('Z')
  const silent = await Promise.all(Array.from({ length: 300 }, () => connectRaw({ port })))
  await until(() => silent.filter((client) => client.received > 0).length === 300 - 256, {
    limitMs: 3000,
    what: 'refusals',
  })
  for (const client of [first, ...silent]) client.close()
})

test('new settings move ports without touching sessions', async () => {
  const client = await loginRaw({ port })
  await client.messagesUntil('Z')
  const second = rig.takePorts(1)
  await control.configure({ listeners: [tcpListener(second)] })
  await assert.rejects(connectRaw({ port }), /ECONNREFUSED/)
  const moved = await loginRaw({ port: second })
  await moved.messagesUntil('Z')
  client.write(Buffer.from('X\0\0\0\x04'))
  await client.end()
  await control.configure({ listeners: [tcpListener(port)] })
  for (const one of [client, moved]) one.close()
})
