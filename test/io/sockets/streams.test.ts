/** Bytes both ways: nothing lost, nothing piled up, whoever is slow, closes half, or breaks. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import net from 'node:net'
import { after, before, beforeEach, test } from 'node:test'
import { frame, TERMINATE_MESSAGE } from '../../../src/core/pgwire/messages.ts'
import { primaryAt } from '../../rig/fake-control.ts'
import { loginAnswer, READY, resetFakeServers, startFakeServer } from '../../rig/fake-server.ts'
import { startPostgres } from '../../rig/postgres.ts'
import { rssBytes } from '../../rig/process-costs.ts'
import {
  closeRawPeers,
  connectRaw,
  hello,
  loginRaw,
  query,
  type RawPeer,
} from '../../rig/raw-peer.ts'
import { until } from '../../rig/wait.ts'
import { openWorld } from './world.ts'

const world = await openWorld()
const { rig, control, worker, port } = world
after(() => world.end())
const MB = 1024 * 1024
const hba = ['host all all 127.0.0.1/32 trust']
const server = await startPostgres(rig, { hba })

beforeEach(async () => {
  closeRawPeers()
  resetFakeServers()
  await control.awaitClients(0)
})

async function login(to: number): Promise<RawPeer> {
  await control.open(primaryAt(to))
  const client = await loginRaw({ port }, { user: 'postgres', database: 'postgres' })
  await client.messagesUntil('Z')
  return client
}

/** The most a worker held while `condition` was not met. */
async function rssUntil(condition: () => boolean, limitMs: number): Promise<number> {
  let most = 0
  const look = () => {
    most = Math.max(most, rssBytes(worker.pid))
    return condition()
  }
  await until(look, { limitMs, what: 'end', everyMs: 20 })
  return most
}

/** True once this number has not changed for a while. */
function settled(number: () => number, forMs = 300): () => boolean {
  let last = -1
  let sinceMs = 0
  return () => {
    if (number() !== last) sinceMs = performance.now()
    last = number()
    return performance.now() - sinceMs > forMs
  }
}

before(async () => {
  await login(server.port).then((client) => client.close())
})

test('a stalled client with a result of 5 GB costs bounded memory, and others are served', async () => {
  const clients = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const client = await login(server.port)
      client.socket.pause()
      client.write(
        query("copy (select repeat('x', 8000) from generate_series(1, 650000)) to stdout"),
      )
      return client
    }),
  )
  const before = rssBytes(worker.pid)
  let bytesOut = 0
  const still = settled(() => bytesOut)
  const standstill = async () => {
    bytesOut = (await control.clients()).reduce((sum, info) => sum + info.bytesOut, 0)
    return bytesOut > 0 && still()
  }
  await until(standstill, { limitMs: 20_000, what: 'standstill', everyMs: 10 })
  const grown = rssBytes(worker.pid) - before
  assert.ok(bytesOut < 8 * 16 * MB, `taken from the servers: ${bytesOut}`)
  assert.ok(grown < 32 * MB, `grown by ${grown} for 8 stalled clients`)
  const other = await login(server.port)
  other.write(query('select 1'))
  await other.messagesUntil('Z')
  for (const client of [...clients, other]) client.close()
})

test('a slow reader gets everything, also after the server has closed', async () => {
  const bytes = randomBytes(8 * MB)
  const fake = await startFakeServer(rig, (peer) => {
    peer.write(loginAnswer())
    peer.socket.end(frame('d', bytes))
  })
  const client = await login(fake.port)
  client.socket.pause()
  await until(
    settled(() => fake.peers.at(-1)!.socket.bytesWritten),
    {
      limitMs: 5000,
      what: 'standstill',
    },
  )
  client.socket.resume()
  const { payload } = await client.message()
  assert.equal(sha(payload), sha(bytes))
  await client.end()
  client.close()
})

function sha(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

test('slow readers of different results at once get their own bytes, each of them', async () => {
  const rows = 100_000
  const letters = ['J', 'K', 'L', 'M', 'Q', 'U']
  await control.open(primaryAt(server.port))
  const streams = letters.map((letter) => {
    const socket = net.connect({ port, host: '127.0.0.1' })
    const rowsOf = `SELECT repeat('${letter}', 199) FROM generate_series(1, ${rows})`
    socket.write(hello({ user: 'postgres', database: 'postgres' }))
    socket.write(query(`COPY (${rowsOf}) TO STDOUT`))
    socket.write(TERMINATE_MESSAGE)
    return socket
  })
  // Nobody reads until everything that can pile up has piled up.
  const written = () => streams.reduce((sum, { bytesRead }) => sum + bytesRead, 0)
  await until(settled(written), { limitMs: 10_000, what: 'standstill' })
  const counts = await Promise.all(
    streams.map(async (socket) => {
      const found = new Uint32Array(256)
      for await (const chunk of socket as AsyncIterable<Buffer>) {
        for (const byte of chunk) found[byte]! += 1
      }
      return letters.map((letter) => found[letter.charCodeAt(0)])
    }),
  )
  // The login brings a few such letters too; another client's bytes would come by the thousand.
  const strange = counts.map((of, own) =>
    of
      .map((count, at) => (at === own ? count! - rows * 199 : count!))
      .filter((n) => n < 0 || n > 99),
  )
  assert.deepEqual(
    strange,
    Array.from(letters, () => []),
  )
})

test('what waits here when the server closes is still delivered', async () => {
  // First see how much leaves the server while the client reads nothing, then send a bit less.
  let size = 8 * MB
  const fake = await startFakeServer(rig, (peer) => {
    peer.write(loginAnswer())
    peer.socket.end(frame('d', Buffer.alloc(size, 7)))
  })
  await control.open(primaryAt(fake.port))
  let most = 0
  let endedUnread = 0
  for (let round = 0; round < 12; round++) {
    const client = await connectRaw({ port }, { paused: true })
    client.write(hello())
    let taken = 0
    const still = settled(() => taken, 80)
    const standstill = async () => {
      const [info] = await control.clients()
      const gone = info === undefined && fake.accepted > round
      if (gone) endedUnread++
      taken = info?.bytesOut ?? 0
      return gone || (taken > 0 && still())
    }
    await until(standstill, { limitMs: 5000, what: 'standstill', everyMs: 5 })
    client.socket.resume()
    await client.messagesUntil('Z')
    assert.equal((await client.message()).payload.length, size)
    await client.end()
    client.close()
    await control.awaitClients(0)
    if (round === 0) most = taken
    size = most - round * 40 * 1024
  }
  assert.ok(endedUnread > 0, 'at least once the server was gone before the client read')
})

test('a stalled server with a COPY in: the client is slowed down, nothing piles up, nothing is lost', async () => {
  const total = 64 * MB
  const hash = createHash('sha256')
  const fake = await startFakeServer(rig, async (peer) => {
    peer.write(loginAnswer())
    peer.socket.removeAllListeners('data')
    peer.socket.pause()
    await until(() => goOn, { limitMs: 10_000, what: 'go', everyMs: 5 })
    let got = 0
    peer.socket.on('data', (chunk: Buffer) => {
      hash.update(chunk)
      got += chunk.length
      if (got === total) peer.write(READY)
    })
    peer.socket.resume()
  })
  let goOn = false
  const client = await login(fake.port)
  const expected = createHash('sha256')
  for (let at = 0; at < 64; at++) {
    const chunk = randomBytes(MB)
    expected.update(chunk)
    client.write(chunk)
  }
  const before = rssBytes(worker.pid)
  const most = await rssUntil(
    settled(() => client.socket.writableLength),
    5000,
  )
  assert.ok(most - before < 16 * MB, `grown by ${most - before}`)
  assert.ok(client.socket.writableLength > 32 * MB, 'the client is held back')
  goOn = true
  await client.messagesUntil('Z')
  assert.equal(hash.digest('hex'), expected.digest('hex'))
  client.close()
})

test('half-close by the client: what the server still has to say arrives', async () => {
  const fake = await startFakeServer(rig, async (peer) => {
    peer.write(loginAnswer())
    await peer.end()
    peer.write(frame('C', Buffer.alloc(2 * MB, 1)))
    peer.socket.end()
  })
  const client = await login(fake.port)
  const end = await world.endOf(async () => {
    client.socket.end(query('last'))
    assert.equal((await client.message()).payload.length, 2 * MB)
    assert.equal((await client.end()).length, 0)
    client.close()
  })
  assert.equal(end.reason, 'client-closed')
  assert.equal(end.bytesOut, loginAnswer().length + 2 * MB + 5)
})

test('what the client said before its half-close reaches the server', async () => {
  let got: Buffer = Buffer.alloc(0)
  const fake = await startFakeServer(rig, async (peer) => {
    peer.write(loginAnswer())
    got = await peer.end()
    peer.close()
  })
  const client = await login(fake.port)
  const bytes = randomBytes(MB)
  client.socket.end(bytes)
  await client.end()
  assert.equal(sha(got), sha(bytes))
  client.close()
})

test('a reset by the client reaches the server, one by the server the client', async () => {
  const fake = await startFakeServer(rig, (peer) => peer.write(loginAnswer()))
  const client = await login(fake.port)
  const end = await world.endOf(async () => client.reset())
  assert.equal(end.reason, 'client-error')
  await until(() => fake.peers.at(-1)!.isOver, {
    limitMs: 1000,
    what: 'end at the server',
    everyMs: 5,
  })
  const second = await login(fake.port)
  const other = await world.endOf(async () => fake.peers.at(-1)!.reset())
  assert.equal(other.reason, 'server-closed')
  assert.match(await second.error(), /^FATAL 08006/)
  second.close()
})

test('a client that resets while a big result is on its way', async () => {
  const client = await login(server.port)
  client.socket.pause()
  client.write(query("copy (select repeat('x', 8000) from generate_series(1, 650000)) to stdout"))
  await until(async () => (await control.clients())[0]!.bytesOut > MB, {
    limitMs: 5000,
    what: 'bytes',
  })
  client.reset()
  await control.awaitClients(0)
  await until(
    async () =>
      (await server.query("select 1 from pg_stat_activity where query like 'copy%'")).length === 0,
    { limitMs: 5000, what: 'end of the query' },
  )
})

test('messages of any size and any cut arrive as they were, both ways', async (t) => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1e9)
  t.diagnostic(`seed ${seed}`)
  const random = mulberry(seed)
  const fake = await startFakeServer(rig, (peer) => {
    peer.write(loginAnswer())
    peer.socket.removeAllListeners('data')
    peer.socket.on('data', (chunk) => {
      if (!peer.socket.write(chunk)) {
        peer.socket.pause()
        peer.socket.once('drain', () => peer.socket.resume())
      }
    })
    peer.socket.resume()
  })
  const client = await login(fake.port)
  const sent = createHash('sha256')
  let total = 0
  for (let number = 0; number < 400; number++) {
    const size = Math.floor(random() ** 4 * 300_000) + 1
    const bytes = frame('d', randomBytes(size))
    total += bytes.length
    sent.update(bytes)
    const cut = Math.floor(random() * bytes.length)
    client.write(bytes.subarray(0, cut))
    if (random() < 0.3) await new Promise(setImmediate)
    client.write(bytes.subarray(cut))
  }
  const back = await client.read(total)
  assert.equal(sha(back), sent.digest('hex'))
  client.close()
})

/** A small seeded generator of numbers in [0, 1). */
function mulberry(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

test('idle sessions cost little', async (t) => {
  const fake = await startFakeServer(rig, (peer) => peer.write(loginAnswer()))
  await control.open(primaryAt(fake.port))
  const before = rssBytes(worker.pid)
  const clients: RawPeer[] = []
  for (let batch = 0; batch < 10; batch++) {
    const more = await Promise.all(Array.from({ length: 100 }, () => connectRaw({ port })))
    for (const client of more) client.write(hello())
    await Promise.all(more.map((client) => client.messagesUntil('Z')))
    clients.push(...more)
  }
  const each = (rssBytes(worker.pid) - before) / clients.length
  t.diagnostic(`${Math.round(each)} bytes a session`)
  assert.ok(each < 50_000)
  for (const client of clients) client.close()
})
