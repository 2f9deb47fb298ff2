/** Clients wait while there is nowhere to go, and are served when there is; never an error before. */
import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { primaryAt } from '../../rig/fake-control.ts'
import {
  echoScript,
  fatal,
  loginAnswer,
  resetFakeServers,
  startFakeServer,
} from '../../rig/fake-server.ts'
import {
  closeRawPeers,
  connectRaw,
  loginRaw,
  query,
  type RawPeer,
  SSL_REQUEST,
  TERMINATE,
} from '../../rig/raw-peer.ts'
import { pause, until } from '../../rig/wait.ts'
import { startBlackHole } from './black-hole.ts'
import { limits, openWorld } from './world.ts'

const world = await openWorld()
const { rig, control, worker, port } = world
after(() => world.end())

const LEFT = 'client-left-while-waiting'
const HOLD = { timeoutMs: 30_000, maxClients: 10_000 }

beforeEach(async () => {
  closeRawPeers()
  resetFakeServers()
  await control.awaitClients(0)
  await control.configure({ hold: HOLD, limits: limits({}) })
})

test('before the first table a client waits, and is served by it', async () => {
  const server = await startFakeServer(rig, echoScript('a'))
  const client = await loginRaw({ port })
  await control.awaitClients(1, 'held')
  assert.equal(client.received, 0)
  await control.open(primaryAt(server.port))
  await client.messagesUntil('Z')
  const end = await world.endOf(async () => client.write(TERMINATE))
  assert.equal(end.reason, 'client-closed')
  assert.equal(end.user, 'app')
  assert.equal(end.database, 'db')
  assert.equal(end.listener, 'write')
  assert.equal(end.backend, 'n1')
  assert.equal(end.bytesIn, TERMINATE.length)
  assert.equal(end.bytesOut, loginAnswer().length)
  assert.ok(end.waitMs > 1 && end.waitMs <= end.totalMs, `waited ${end.waitMs}`)
  assert.match(end.client, /^127\.0\.0\.1:\d+$/)
})

test('the time of the attempt is not counted as waiting', async () => {
  const server = await startFakeServer(rig, async (peer) => {
    await until(() => release, { limitMs: 5000, what: 'release', everyMs: 5 })
    peer.write(loginAnswer())
  })
  let release = false
  await control.open(primaryAt(server.port))
  const end = await world.endOf(async () => {
    const client = await loginRaw({ port })
    const sinceMs = performance.now()
    await until(() => performance.now() - sinceMs > 150, { limitMs: 1000, what: 'while' })
    release = true
    await client.messagesUntil('Z')
    client.write(TERMINATE)
    client.socket.end()
  })
  assert.ok(end.connectMs >= 140, `connectMs ${end.connectMs}`)
  assert.ok(end.waitMs < 100, `waitMs ${end.waitMs}`)
})

test('served in order of arrival, never more attempts at once than the window', async () => {
  await control.configure({ limits: limits({ connectWindow: 4 }) })
  await control.hold()
  const clients = []
  for (let number = 0; number < 40; number++) {
    clients.push(await loginRaw({ port }, { application_name: `c${number}` }))
  }
  await control.awaitClients(40, 'held')
  const server = await startFakeServer(rig, async (peer, _startup, self) => {
    await until(() => self.atOnce >= 4 || self.accepted > 36, {
      limitMs: 5000,
      what: 'window',
      everyMs: 2,
    })
    self.atOnce--
    peer.write(loginAnswer())
    await peer.end()
    self.atOnce++
    peer.close()
  })
  await control.open(primaryAt(server.port))
  for (const client of clients) await client.messagesUntil('Z')
  assert.ok(server.mostAtOnce <= 4, `at once: ${server.mostAtOnce}`)
  const names = server.startups.map((packet) =>
    Number(/application_name\0c(\d+)/.exec(packet.toString())![1]),
  )
  // Within a window the kernel may deliver in another order; across windows it may not.
  for (const [at, name] of names.entries()) assert.ok(Math.abs(at - name) < 4, `${name} at ${at}`)
  for (const client of clients) client.close()
})

test('those whose attempt failed keep their place before those who came later', async () => {
  await control.configure({ limits: limits({ connectWindow: 4 }) })
  await control.hold()
  const clients = []
  for (let number = 0; number < 12; number++) {
    clients.push(await loginRaw({ port }, { application_name: `c${number}` }))
  }
  await control.awaitClients(12, 'held')
  const order: number[] = []
  const server = await startFakeServer(rig, async (peer, startup, { startups }) => {
    if (startups.length <= 4) {
      await until(() => startups.length >= 4, { limitMs: 5000, what: 'four', everyMs: 2 })
      peer.write(fatal('57P03', 'the database system is starting up'))
      return peer.close()
    }
    order.push(Number(/application_name\0c(\d+)/.exec(startup.toString())![1]))
    peer.write(loginAnswer())
  })
  await control.open(primaryAt(server.port))
  for (const client of clients) await client.messagesUntil('Z')
  assert.deepEqual(order.slice(0, 1), [0])
  for (const [at, name] of order.entries()) assert.ok(Math.abs(at - name) < 4, `${order}`)
  for (const client of clients) client.close()
})

test('bounded in number: 53300; who leaves frees its place', async () => {
  await control.hold()
  await control.configure({ hold: { timeoutMs: 30_000, maxClients: 3 } })
  control.die() // alone, a worker judges by its own settings
  try {
    await until(() => worker.log().includes('control process is gone'), {
      limitMs: 2000,
      what: 'loss',
    })
    const waiting = [await loginRaw({ port }), await loginRaw({ port }), await loginRaw({ port })]
    const before = worker.ends().length
    const last = await loginRaw({ port })
    assert.match(await last.error(), /^FATAL 53300 too many/)
    waiting[1]!.close()
    const reasons = () =>
      worker
        .ends()
        .slice(before)
        .map(({ reason }) => reason)
    await until(() => reasons().includes(LEFT), { limitMs: 2000, what: 'a place' })
    assert.ok(reasons().includes('too-many-waiting'))
    waiting.push(await loginRaw({ port }))
    await control.listen()
    await control.awaitClients(3, 'held')
    for (const client of waiting) client.close()
  } finally {
    if (control.joined === 0) await control.listen()
  }
})

test('bounded in time: 57P03 with the reason in words', async () => {
  await control.configure({ hold: { timeoutMs: 300, maxClients: 10 } })
  await control.hold('n1 holds the key and is in recovery')
  const sinceMs = performance.now()
  const end = await world.endOf(async () => {
    const client = await loginRaw({ port })
    assert.match(
      await client.error(),
      /^FATAL 57P03 no primary available: n1 holds the key and is in recovery$/,
    )
    await client.end()
    client.socket.end()
  })
  assert.ok(performance.now() - sinceMs >= 290)
  assert.equal(end.reason, 'hold-timeout')
  assert.ok(end.waitMs >= 290, `waitMs ${end.waitMs}`)
})

test('a client that leaves while waiting is noticed at once, by FIN and by RST', async () => {
  await control.hold()
  for (const leave of ['close', 'reset'] as const) {
    const end = await world.endOf(async () => {
      const client = await loginRaw({ port })
      await control.awaitClients(1, 'held')
      client[leave]()
    })
    assert.equal(end.reason, LEFT)
  }
  await control.awaitClients(0)
})

const NOT_YET = {
  refused: null,
  reset: (peer) => peer.reset(),
  'closed-before-answer': (peer) => peer.close(),
  'starting-up': (peer) => {
    peer.write(fatal('57P03', 'the database system is starting up'))
    peer.close()
  },
} satisfies Record<string, ((peer: RawPeer) => void) | null>

for (const [trouble, misbehave] of Object.entries(NOT_YET)) {
  test(`${trouble}: the client waits, trouble is reported, then it is served`, async () => {
    const before = control.trouble().length
    const server = await startFakeServer(rig, misbehave ?? echoScript('x'))
    if (misbehave === null) await server.close()
    await control.open(primaryAt(server.port, `by-${trouble}`))
    const client = await loginRaw({ port })
    await until(() => control.trouble().length >= before + 3, { limitMs: 3000, what: 'trouble' })
    assert.ok(control.trouble().includes(`by-${trouble} ${trouble}`), control.trouble().join())
    assert.equal(client.received, 0)
    if (misbehave === null) await server.listen()
    else server.script = echoScript('x')
    const sinceMs = performance.now()
    await client.messagesUntil('Z')
    assert.ok(performance.now() - sinceMs < 300, 'tried again soon')
    client.close()
  })
}

test('a backend that fails is tried by one at a time, until it works again', async () => {
  const server = await startFakeServer(rig, (peer) => peer.close())
  await control.open(primaryAt(server.port))
  const clients = []
  for (let number = 0; number < 20; number++) clients.push(await loginRaw({ port }))
  await until(() => server.accepted > 25, { limitMs: 3000, what: 'attempts' })
  server.mostAtOnce = 0
  const { accepted } = server
  await until(() => server.accepted > accepted + 3, { limitMs: 3000, what: 'attempts' })
  assert.ok(server.mostAtOnce <= 1, `at once: ${server.mostAtOnce}`)
  server.script = echoScript('x')
  for (const client of clients) await client.messagesUntil('Z')
  for (const client of clients) client.close()
})

test('a blackholed server: the attempt is given up, the client waits on', async () => {
  await control.configure({ limits: limits({ connectTimeoutMs: 200 }) })
  const before = control.trouble().length
  const hole = await startBlackHole(rig)
  await control.open(primaryAt(hole.port, 'deaf'))
  const client = await loginRaw({ port })
  await until(() => control.trouble().length > before, { limitMs: 3000, what: 'trouble' })
  assert.equal(control.trouble().at(-1), 'deaf connect-timeout')
  assert.equal(client.received, 0)
  const server = await startFakeServer(rig, echoScript('x'))
  await control.open(primaryAt(server.port))
  await client.messagesUntil('Z')
  client.close()
})

test('a listening server that never answers is no answer either', async (t) => {
  const server = await startFakeServer(rig, () => undefined)
  await control.open(primaryAt(server.port))
  await control.configure({ hold: { timeoutMs: 400, maxClients: 10 } })
  t.diagnostic('held until hold.timeout')
  const client = await loginRaw({ port })
  assert.match(await client.error(), /^FATAL 57P03 no primary available/)
  client.close()
})

test('hold.timeout 0 is for held routes: an open one serves, also when it takes a moment', async () => {
  const server = await startFakeServer(rig, async (peer) => {
    await pause(350) // longer than the sweep that looks for those who wait too long
    peer.write(loginAnswer())
  })
  await control.configure({ hold: { timeoutMs: 0, maxClients: 10 } })
  await control.open(primaryAt(server.port))
  const client = await loginRaw({ port })
  await client.messagesUntil('Z')
  client.close()
})

test('a TLS client waits the same, and is told in the clear that there is no server', async () => {
  await control.configure({ hold: { timeoutMs: 200, maxClients: 10 } })
  await control.hold()
  const client = await connectRaw({ port })
  client.write(SSL_REQUEST)
  assert.match(await client.error(), /^FATAL 57P03 no primary available/)
  client.close()
})

test('queries sent ahead of the login are not lost', async () => {
  await control.hold()
  const client = await loginRaw({ port })
  client.write(query('one'))
  client.write(query('two'))
  await control.awaitClients(1, 'held')
  const server = await startFakeServer(rig, echoScript('a'))
  await control.open(primaryAt(server.port))
  await client.messagesUntil('Z')
  assert.match((await client.messagesUntil('Z'))[0]!.payload.toString(), /^a:one/)
  assert.match((await client.messagesUntil('Z'))[0]!.payload.toString(), /^a:two/)
  client.close()
})
