/** What strangers may send to an open port leaves nothing behind and disturbs nobody. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import net from 'node:net'
import { after, beforeEach, test } from 'node:test'
import { cancelRequest, GSSENC_REQUEST } from '../../src/core/pgwire/messages.ts'
import { limits, openWorld } from '../io/sockets/world.ts'
import { primaryAt, tcpListener } from '../rig/fake-control.ts'
import { echoScript, resetFakeServers, startFakeServer } from '../rig/fake-server.ts'
import { descriptors, rssBytes } from '../rig/process-costs.ts'
import { closeRawPeers, connectRaw, hello, loginRaw, query, SSL_REQUEST } from '../rig/raw-peer.ts'
import { until } from '../rig/wait.ts'

const MB = 1024 * 1024
const LOGIN_MS = 1000
const settings = {
  hold: { timeoutMs: 30_000, maxClients: 10_000 },
  clientTls: null,
  limits: limits({ loginTimeoutMs: LOGIN_MS, maxClients: 20_000 }),
}
const world = await openWorld(settings)
const { rig, control, worker, port } = world
after(() => world.end())
const server = await startFakeServer(rig, echoScript('x'))
await control.open(primaryAt(server.port))

/** Descriptors while nobody is connected. */
let atRest = 0

beforeEach(async () => {
  closeRawPeers()
  resetFakeServers()
  await control.configure(settings)
  await control.open(primaryAt(server.port))
  await control.awaitClients(0)
  atRest = descriptors(worker.pid)
})

/** Nothing is left, and the worker serves. */
async function assertUnharmed(rssBefore: number, mayGrow = 24 * MB): Promise<void> {
  await until(async () => (await control.clients()).length === 0, {
    limitMs: 3 * LOGIN_MS + 6000,
    what: 'end of all sessions',
  })
  await until(() => descriptors(worker.pid) <= atRest + 1, {
    limitMs: 8000,
    what: 'descriptors at rest',
  })
  const client = await loginRaw({ port })
  await client.messagesUntil('Z')
  client.write(query('alive'))
  assert.match((await client.message()).payload.toString(), /^x:alive/)
  client.close()
  assert.ok(worker.child.isAlive())
  const grown = rssBytes(worker.pid) - rssBefore
  assert.ok(grown < mayGrow, `memory grown by ${Math.round(grown / 1024)} kB`)
  assert.equal(worker.ends().filter(({ reason }) => reason === 'bug').length, 0)
}

/** Runs `count` bodies, so many at a time. */
async function inBatches(count: number, size: number, body: (number: number) => Promise<void>) {
  for (let first = 0; first < count; first += size) {
    const batch = Array.from({ length: Math.min(size, count - first) }, (_, at) => body(first + at))
    await Promise.all(batch)
  }
}

const FORMS: Readonly<Record<string, Buffer>> = {
  startup: hello({ options: '-c pgsteer.target=primary', application_name: 'cut' }),
  SSLRequest: SSL_REQUEST,
  GSSENCRequest: GSSENC_REQUEST,
  cancel: cancelRequest(1, Buffer.from('abcd')),
  'TLS hello': Buffer.concat([Buffer.from([22, 3, 1, 0, 200, 1, 0, 0, 196]), Buffer.alloc(196, 3)]),
}

test('every startup form, cut at every byte, and then: a close, a reset, nothing', async () => {
  const before = rssBytes(worker.pid)
  for (const bytes of Object.values(FORMS)) {
    for (const leave of ['end', 'reset', 'stay'] as const) {
      const silent: { close(): void }[] = []
      await inBatches(bytes.length, 100, async (at) => {
        const client = await connectRaw({ port })
        client.socket.on('error', () => undefined)
        client.write(bytes.subarray(0, at))
        if (leave === 'end') client.socket.end(() => client.close())
        else if (leave === 'reset') client.reset()
        else silent.push(client)
      })
      if (leave !== 'stay') continue
      await until(async () => (await control.clients()).every(({ state }) => state !== 'startup'), {
        limitMs: 3 * LOGIN_MS,
        what: 'login timeouts',
      })
      for (const client of silent) client.close()
    }
  }
  await assertUnharmed(before)
})

test('rubbish, and startup packets with rubbish in them', async (t) => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1e9)
  t.diagnostic(`SEED=${seed}`)
  const random = generator(seed)
  const before = rssBytes(worker.pid)
  const forms = Object.values(FORMS)
  await inBatches(3000, 150, async (number) => {
    const client = await connectRaw({ port })
    client.socket.on('error', () => undefined)
    client.write(number % 3 === 0 ? rubbish(random) : spoilt(forms[number % forms.length]!, random))
    if (number % 2 === 0) client.socket.end()
    await client.end(200).catch(() => undefined)
    client.close()
  })
  await assertUnharmed(before)
})

function rubbish(random: () => number): Buffer {
  return Buffer.from(Array.from({ length: Math.floor(random() * 400) }, () => random() * 256))
}

function spoilt(form: Buffer, random: () => number): Buffer {
  const bytes = Buffer.concat([form, rubbish(random).subarray(0, random() * 50)])
  for (let times = 0; times < 3; times++)
    bytes[Math.floor(random() * bytes.length)] = random() * 256
  return bytes
}

function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 4294967296
  }
}

test('lengths that lie: refused before anything is kept', async () => {
  const before = rssBytes(worker.pid)
  const lengths = [0, 1, 7, 10_005, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]
  await inBatches(lengths.length, lengths.length, async (at) => {
    const client = await connectRaw({ port })
    const head = Buffer.alloc(8)
    head.writeUInt32BE(lengths[at]!)
    head.writeUInt32BE(196_608, 4)
    client.write(head)
    assert.match(await client.error(), /^FATAL 08P01 protocol violation/)
    client.close()
  })
  await assertUnharmed(before)
})

test('a flood behind a refused packet is read and dropped, not kept', async () => {
  const before = rssBytes(worker.pid)
  const flood = randomBytes(4 * MB)
  await inBatches(8, 8, async () => {
    const client = await connectRaw({ port })
    client.socket.on('error', () => undefined)
    client.write(Buffer.from([0x7f, 0xff, 0xff, 0xff]))
    client.write(flood)
    await client.end()
    client.close()
  })
  await assertUnharmed(before)
})

test('a flood while waiting in line is not kept either', async () => {
  await control.hold()
  const before = rssBytes(worker.pid)
  const clients = await Promise.all(Array.from({ length: 8 }, () => loginRaw({ port })))
  const flood = randomBytes(24 * MB)
  for (const client of clients) client.write(flood)
  await control.awaitClients(8, 'held')
  await until(() => clients.every(({ socket }) => socket.writableLength > 0), {
    limitMs: 5000,
    what: 'clients that are held back',
  })
  assert.ok(rssBytes(worker.pid) - before < 16 * MB)
  for (const client of clients) client.close()
  // Not read any more, they are noticed when they are served or have waited too long.
  await control.configure({ hold: { timeoutMs: 100, maxClients: 10_000 } })
  await control.awaitClients(0)
  await control.configure({ hold: { timeoutMs: 30_000, maxClients: 10_000 } })
  await control.open(primaryAt(server.port))
  await assertUnharmed(before)
})

test('slow senders: a byte now and then does not outlast the login timeout', async () => {
  const before = rssBytes(worker.pid)
  const sinceMs = performance.now()
  const clients = await Promise.all(Array.from({ length: 50 }, () => connectRaw({ port })))
  let said = 0
  const drip = setInterval(() => {
    const byte = FORMS['startup']!.subarray(said, ++said)
    for (const { socket } of clients) if (socket.writable) socket.write(byte)
  }, 100)
  try {
    await Promise.all(clients.map((client) => client.end(3 * LOGIN_MS)))
  } finally {
    clearInterval(drip)
  }
  assert.ok(performance.now() - sinceMs >= LOGIN_MS)
  for (const client of clients) client.close()
  await assertUnharmed(before)
})

test('10,000 connections that say nothing', async () => {
  for (let round = 0; round < 2; round++) {
    const before = rssBytes(worker.pid)
    for (let batch = 0; batch < 5; batch++) {
      const silent: net.Socket[] = []
      await inBatches(1000, 250, async () => void silent.push(await connectSilent()))
      for (const socket of silent) socket.destroy()
    }
    // The second round shows whether the first left anything.
    await assertUnharmed(before, round === 0 ? 48 * MB : 24 * MB)
  }
})

function connectSilent(): Promise<net.Socket> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(socket))
    socket.on('error', () => resolve(socket))
  })
}

test('a storm of connections that are reset at once, in every state', async () => {
  const before = rssBytes(worker.pid)
  await inBatches(4000, 200, async (number) => {
    const socket = await connectSilent()
    if (number % 4 === 1) socket.write(FORMS['startup']!)
    if (number % 4 === 2) socket.write(SSL_REQUEST)
    if (number % 4 === 3) socket.write(FORMS['startup']!.subarray(0, 9))
    if (number % 8 >= 4) await new Promise(setImmediate)
    socket.resetAndDestroy()
  })
  await assertUnharmed(before, 32 * MB)
})

test('a storm of cancel requests with keys that nobody has', async () => {
  const before = rssBytes(worker.pid)
  await inBatches(2000, 400, async () => {
    const client = await connectRaw({ port })
    client.socket.on('error', () => undefined)
    client.write(cancelRequest(7, randomBytes(4)))
    await client.end()
    client.close()
  })
  assert.ok(server.mostAtOnce < 400, `at once ${server.mostAtOnce}`)
  await assertUnharmed(before)
})

test('the same through TLS that ends here: handshakes broken off, rubbish inside', async () => {
  const { makeAuthority } = await import('../io/sockets/certificates.ts')
  const { cert, key } = makeAuthority(`${rig.dir}/tls`, 'router')
  await control.configure({
    clientTls: { mode: 'prefer', cert, key, ca: null },
    listeners: [tcpListener(port)],
  })
  const before = rssBytes(worker.pid)
  await inBatches(1000, 100, async (number) => {
    const client = await connectRaw({ port })
    client.socket.on('error', () => undefined)
    client.write(SSL_REQUEST)
    await client.read(1)
    if (number % 3 === 0) client.reset()
    else {
      client.write(number % 3 === 1 ? FORMS['TLS hello']! : randomBytes(200))
      await client.end(300).catch(() => undefined)
      client.close()
    }
  })
  await assertUnharmed(before, 48 * MB)
})
