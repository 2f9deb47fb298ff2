/** Where clients may come from: IPv4, IPv6, unix sockets, and load balancers that say who they are. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import type { WorkerListener } from '../../../src/core/fleet/messages.ts'
import { primaryAt, tcpListener } from '../../rig/fake-control.ts'
import { echoScript, resetFakeServers, startFakeServer } from '../../rig/fake-server.ts'
import { closeRawPeers, connectRaw, hello, type Place } from '../../rig/raw-peer.ts'
import { pause, until } from '../../rig/wait.ts'
import { openWorld } from './world.ts'

const world = await openWorld()
const { rig, control, worker, port } = world
after(() => world.end())
const server = await startFakeServer(rig, echoScript('x'))
const path = join(rig.dir, 'sockets', '.s.PGSQL.6000')

beforeEach(async () => {
  closeRawPeers()
  resetFakeServers()
  await control.awaitClients(0)
  await control.configure({ listeners: [tcpListener(port)] })
  await control.open(primaryAt(server.port))
})

const listen = (patch: Partial<WorkerListener>) =>
  control.configure({ listeners: [tcpListener(port, patch)] })

async function comeIn(place: Place, said: Buffer | null): Promise<string> {
  const client = await connectRaw(place)
  if (said !== null) client.write(said)
  client.write(hello())
  await client.messagesUntil('Z')
  const [info] = await control.clients()
  client.close()
  await control.awaitClients(0)
  return info!.client
}

test('IPv6', async () => {
  await listen({ addresses: [{ kind: 'tcp', host: '::1', port, ipv6Only: false }] })
  assert.match(await comeIn({ host: '::1', port }, null), /^::1:\d+$/)
})

test('dual stack: IPv4 clients are shown as such', async () => {
  await listen({ addresses: [{ kind: 'tcp', host: '::', port, ipv6Only: false }] })
  assert.match(await comeIn({ host: '127.0.0.1', port }, null), /^127\.0\.0\.1:\d+$/)
})

test('a unix socket, opened by the one worker that is told to', async () => {
  await listen({ addresses: [{ kind: 'unix', path }] })
  await assert.rejects(connectRaw({ path }), /ENOENT/)
  control.tell(worker, { kind: 'own-unix-sockets' })
  await until(() => connectRaw({ path }).then((client) => client.close() ?? true), {
    limitMs: 3000,
    what: 'socket',
  })
  await control.awaitClients(0)
  assert.equal(await comeIn({ path }, null), 'unix')
})

test('a unix socket changes hands without a moment in which it refuses', async () => {
  await listen({ addresses: [{ kind: 'unix', path }] })
  const heir = await control.start()
  let failures = 0
  let done = false
  let count = 0
  const storm = (async () => {
    while (!done) {
      await connectRaw({ path }).then(
        (client) => client.close(),
        () => failures++,
      )
      count++
    }
  })()
  control.tell(heir, { kind: 'own-unix-sockets' })
  await until(() => count > 100, { limitMs: 5000, what: 'connections' })
  control.tell(worker, { kind: 'drain', graceMs: 2000, words: 'test' })
  const counted = count
  await until(() => count > counted + 200, { limitMs: 5000, what: 'connections' })
  done = true
  await storm
  assert.equal(failures, 0, `${failures} of ${count} failed`)
  assert.equal((await worker.child.ended).code, 0)
})

const V1 = Buffer.from('PROXY TCP4 203.0.113.7 127.0.0.1 5555 5432\r\n')
const V2 = Buffer.concat([
  Buffer.from('\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c', 'latin1'),
  Buffer.from([203, 0, 113, 8, 127, 0, 0, 1, 0x15, 0xb3, 0x15, 0x38]),
])

test('PROXY protocol from a trusted address: version 1 and 2', async () => {
  await listen({ proxyProtocolFrom: ['127.0.0.0/8'] })
  assert.equal(await comeIn({ port }, V1), '203.0.113.7:5555')
  assert.equal(await comeIn({ port }, V2), '203.0.113.8:5555')
})

test('a trusted address must send one; an untrusted one must not', async () => {
  await listen({ proxyProtocolFrom: ['127.0.0.1'] })
  const without = await connectRaw({ port })
  without.write(hello())
  assert.match(await without.error(), /^FATAL 08P01 protocol violation: no PROXY header/)
  without.close()
  await listen({ proxyProtocolFrom: ['10.0.0.0/8'] })
  const liar = await connectRaw({ port })
  liar.write(V1)
  assert.match(await liar.error(), /^FATAL 08P01 protocol violation/)
  liar.close()
})

test('a header cut at any byte, also inside what follows it', async () => {
  await listen({ proxyProtocolFrom: ['127.0.0.1'] })
  for (const header of [V1, V2]) {
    const bytes = Buffer.concat([header, hello()])
    const cuts = Array.from({ length: bytes.length - 1 }, (_, at) => at + 1)
    await Promise.all(
      cuts.map(async (at) => {
        const client = await connectRaw({ port })
        client.write(bytes.subarray(0, at))
        await pause(2)
        client.write(bytes.subarray(at))
        await client.messagesUntil('Z')
        client.close()
      }),
    )
  }
})

test('a PROXY header can not make a TCP client count as one of a unix socket', async () => {
  await listen({ proxyProtocolFrom: ['127.0.0.1'] })
  const unix = Buffer.concat([
    Buffer.from('\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8', 'latin1'),
    Buffer.alloc(216),
  ])
  const { makeAuthority } = await import('./certificates.ts')
  const { cert, key } = makeAuthority(join(rig.dir, 'tls'), 'router')
  await control.configure({ clientTls: { mode: 'require', cert, key, ca: null } })
  const client = await connectRaw({ port })
  client.write(Buffer.concat([unix, hello()]))
  assert.equal(await client.error(), 'FATAL 28000 connection requires TLS')
  client.close()
  await control.configure({ clientTls: null })
})

test('keepalive is set on both sides with the configured delay', async () => {
  const { execFileSync } = await import('node:child_process')
  const client = await connectRaw({ port })
  client.write(hello())
  await client.messagesUntil('Z')
  const lines = execFileSync('ss', ['-tnoH', 'state', 'established']).toString().split('\n')
  const of = (own: number) =>
    lines.find((line) => line.includes('keepalive') && line.split(/\s+/)[2]?.endsWith(`:${own}`))
  const toServer = lines.find(
    (l) => l.includes('keepalive') && l.split(/\s+/)[3] === `127.0.0.1:${server.port}`,
  )
  assert.match(of(port) ?? '', /timer:\(keepalive,(2\d|30)\S*sec/)
  assert.match(toServer ?? '', /timer:\(keepalive,(2\d|30)\S*sec/)
  client.close()
})
