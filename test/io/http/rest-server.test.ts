/** The REST server and its client on a real socket: streams, limits, faults as values. */
import assert from 'node:assert/strict'
import net from 'node:net'
import { type TestContext, test } from 'node:test'
import type { RingedEvent } from '../../../src/core/api/types.ts'
import { READERS_MAX } from '../../../src/io/http/event-stream.ts'
import { askMember } from '../../../src/io/http/patroni-client.ts'
import { openRestServer, type RestApi } from '../../../src/io/http/rest-server.ts'
import { claimPorts } from '../../rig/ports.ts'
import { until } from '../../rig/wait.ts'

const NO_TLS = { ca: null, cert: null, key: null, passphrase: null, verifyHost: false }
const LIMIT = { limitMs: 5000, everyMs: 10 }

async function port(t: TestContext): Promise<number> {
  const ports = await claimPorts()
  t.after(() => ports.release())
  return ports.base
}

/** A server whose events the test makes. */
async function open(t: TestContext) {
  const readers = new Set<(event: RingedEvent) => void>()
  const api: RestApi = {
    router: () => ({ name: 'n1' }),
    health: () => ({ status: 503, words: 'not yet' }),
    metrics: async () => ({ contentType: 'text/plain', body: 'x 1\n' }),
    clients: async (query) => ({ query }),
    events: {
      since: (id) => [{ id: 'e-2', at: '', kind: 'swap', data: { after: id } }],
      listen(reader) {
        readers.add(reader)
        return () => void readers.delete(reader)
      },
    },
  }
  const at = await port(t)
  const settings = { host: '127.0.0.1', port: at, tls: null, extraHeaders: { 'x-node': 'n1' } }
  const server = await openRestServer(settings, api)
  t.after(() => server.close())
  const emit = (data: Record<string, unknown>) => {
    for (const reader of readers) reader({ id: 'e-9', at: '', kind: 'swap', data })
  }
  return { url: `http://127.0.0.1:${at}`, at, readers, emit }
}

function reader(t: TestContext, at: number, headers = ''): net.Socket & { text: () => string } {
  const socket = net.connect(at, '127.0.0.1')
  let text = ''
  t.after(() => socket.destroy())
  socket.on('error', () => undefined)
  socket.write(`GET /events HTTP/1.1\r\nHost: x\r\n${headers}\r\n`)
  socket.on('data', (chunk) => {
    text += chunk.toString()
  })
  return Object.assign(socket, { text: () => text })
}

test('HEAD and GET agree, a failing health is 503, headers are added', async (t) => {
  const { url } = await open(t)
  const head = await fetch(`${url}/health`, { method: 'HEAD' })
  const get = await fetch(`${url}/health`)
  assert.deepEqual([head.status, get.status, get.headers.get('x-node')], [503, 503, 'n1'])
  assert.deepEqual(await get.json(), { status: 'failing', words: 'not yet' })
  const post = await fetch(`${url}/router`, { method: 'POST' })
  assert.equal(post.status, 404)
  const twice = await fetch(`${url}/clients?state=held&state=x`)
  assert.deepEqual(await twice.json(), { query: { state: 'x' } })
})

test('a reader that comes back is told what it missed, then what happens', async (t) => {
  const { at, readers, emit } = await open(t)
  const stream = reader(t, at, 'Last-Event-ID: e-1\r\n')
  await until(() => readers.size === 1, { ...LIMIT, what: 'reader' })
  emit({ now: true })
  await until(() => stream.text().includes('"now":true'), { ...LIMIT, what: 'event' })
  assert.match(stream.text(), /id: e-2\nevent: swap\ndata: .*"after":"e-1".*\n\n[\s\S]*id: e-9\n/)
})

test('a slow reader is dropped, the others go on', async (t) => {
  const { at, readers, emit } = await open(t)
  const slow = reader(t, at)
  const quick = reader(t, at)
  await until(() => readers.size === 2, { ...LIMIT, what: 'two readers' })
  slow.pause()
  const filler = 'x'.repeat(100_000)
  const dropped = () => {
    emit({ filler })
    return readers.size === 1
  }
  await until(dropped, { ...LIMIT, what: 'drop' })
  emit({ last: true })
  await until(() => quick.text().includes('"last":true'), { ...LIMIT, what: 'last event' })
})

test('more readers than the limit are refused', async (t) => {
  const { at, readers, url } = await open(t)
  for (let n = 0; n < READERS_MAX; n += 1) reader(t, at)
  await until(() => readers.size === READERS_MAX, { ...LIMIT, what: 'full house' })
  const refused = await fetch(`${url}/events`)
  assert.equal(refused.status, 503)
  await refused.body?.cancel()
})

test('a member that refuses, is slow, breaks off or never ends is a value', async (t) => {
  const at = await port(t)
  const ask = (timeoutMs: number) =>
    askMember(`http://127.0.0.1:${at}`, '/patroni', timeoutMs, NO_TLS)
  assert.deepEqual(await ask(1000), { kind: 'failed', why: 'connection refused' })
  let answer: (socket: net.Socket) => void = () => {}
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    answer(socket)
  })
  server.listen(at, '127.0.0.1')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  assert.deepEqual(await ask(100), { kind: 'failed', why: 'no answer in time' })
  answer = (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
  assert.equal((await ask(1000)).kind, 'failed')
  answer = (socket) => {
    socket.write('HTTP/1.0 200 OK\r\n\r\n')
    for (let n = 0; n < 20; n += 1) socket.write('x'.repeat(100_000))
  }
  assert.deepEqual(await ask(2000), { kind: 'failed', why: 'the answer is too long' })
  answer = (socket) => socket.end('HTTP/1.0 503 No\r\n\r\n{}') // no length, as Patroni answers
  assert.deepEqual(await ask(1000), { kind: 'answered', status: 503, body: '{}' })
})

test('a bad api_url is a value', async () => {
  const reply = await askMember('ftp://nowhere', '/patroni', 100, NO_TLS)
  assert.equal(reply.kind, 'failed')
})
