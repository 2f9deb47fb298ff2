/** Workers live longer than their control process, are replaced, and leave when told to. */
import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { primaryAt } from '../../rig/fake-control.ts'
import {
  echoScript,
  loginAnswer,
  resetFakeServers,
  startFakeServer,
} from '../../rig/fake-server.ts'
import {
  closeRawPeers,
  connectRaw,
  hello,
  loginRaw,
  query,
  type RawPeer,
  TERMINATE,
} from '../../rig/raw-peer.ts'
import { until } from '../../rig/wait.ts'
import { openWorld } from './world.ts'

const world = await openWorld()
const { rig, control, port } = world
after(() => world.end())
const server = await startFakeServer(rig, echoScript('x'))
let worker = world.worker

beforeEach(async () => {
  closeRawPeers()
  resetFakeServers()
  await control.awaitClients(0)
  await control.open(primaryAt(server.port))
})

async function login(): Promise<RawPeer> {
  const client = await loginRaw({ port })
  await client.messagesUntil('Z')
  return client
}

async function isServed(client: RawPeer): Promise<boolean> {
  client.write(query('q'))
  return (await client.messagesUntil('Z')).length === 2
}

test('the control process dies: sessions and new clients are served by the last table', async () => {
  const client = await login()
  control.die()
  try {
    await until(() => worker.log().includes('the control process is gone'), {
      limitMs: 2000,
      what: 'loss',
    })
    assert.ok(await isServed(client))
    const second = await login()
    await control.listen()
    const hello = control.heard('hello').at(-1)!
    assert.equal(hello.pid, worker.pid)
    assert.ok(hello.slots.clients >= 2, `brings ${hello.slots.clients} slots`)
    assert.equal((await control.clients()).length, 2)
    assert.ok((await isServed(client)) && (await isServed(second)))
    client.close()
    second.close()
  } finally {
    if (control.joined === 0) await control.listen()
  }
})

test('clients whose admission is awaited are judged by the worker when the control process dies', async () => {
  control.slots = 'silent'
  const clients: RawPeer[] = []
  for (let number = 0; number < 40; number++) clients.push(await loginRaw({ port }))
  const unanswered = () => clients.filter((client) => client.received === 0).length
  await until(() => clients.length - unanswered() >= 0 && unanswered() > 0, {
    limitMs: 2000,
    what: 'clients without an answer',
  })
  control.die()
  for (const client of clients) await client.messagesUntil('Z')
  control.slots = 'share'
  await control.listen()
  for (const client of clients) client.close()
})

test('drain: no new clients, idle sessions may go on, the rest is cut after the grace, exit 0', async () => {
  const heir = await control.start(1)
  const clients: RawPeer[] = []
  while (worker.ends().length >= 0 && clients.length < 20) clients.push(await login())
  const own = new Set(
    (await control.clients())
      .filter(({ id }) => id.startsWith(`${worker.pid}-`))
      .map((c) => c.client),
  )
  const mine = clients.filter(({ socket }) => own.has(`127.0.0.1:${socket.localPort}`))
  assert.ok(mine.length > 0 && mine.length < clients.length, 'both workers have some')
  control.tell(worker, { kind: 'drain', graceMs: 700, words: 'test', idle: 'keep' })
  await until(() => worker.log().includes('"draining"'), { limitMs: 1000, what: 'drain' })
  for (const client of clients) assert.ok(await isServed(client))
  const sinceMs = performance.now()
  for (const client of mine) {
    assert.match(await client.error(), /^FATAL 57P01 terminating connection because the router/)
    assert.equal((await client.end()).length, 0)
    client.close()
  }
  assert.equal((await worker.child.ended).code, 0)
  assert.ok(performance.now() - sinceMs < 2500)
  assert.equal(worker.ends().filter(({ reason }) => reason === 'draining').length, mine.length)
  for (const client of clients.filter((one) => !mine.includes(one))) {
    assert.ok(await isServed(client))
    client.close()
  }
  await control.awaitClients(0)
  worker = heir
})

test('drain that cuts idle sessions at once leaves those at work until they end', async () => {
  const heir = await control.start(2)
  const busyServer = await startFakeServer(rig, async (peer) => {
    peer.write(loginAnswer())
    await peer.message()
    await until(() => answer, { limitMs: 5000, what: 'answer', everyMs: 5 })
    peer.write(Buffer.from('Z\0\0\0\x05I'))
  })
  let answer = false
  await control.open(primaryAt(busyServer.port))
  const clients: RawPeer[] = []
  const own = async () =>
    (await control.clients())
      .filter(({ id }) => id.startsWith(`${worker.pid}-`))
      .map((c) => c.client)
  while ((await own()).length < 2) clients.push(await login())
  const names = await own()
  const [busy, idle] = clients.filter(({ socket }) =>
    names.includes(`127.0.0.1:${socket.localPort}`),
  )
  busy!.write(query('work'))
  await until(async () => (await control.clients()).some((c) => c.transaction === 'active'), {
    limitMs: 1000,
    what: 'work',
  })
  control.tell(worker, { kind: 'drain', graceMs: 5000, words: 'test', idle: 'cut' })
  assert.match(await idle!.error(), /^FATAL 57P01/)
  answer = true
  assert.equal((await busy!.messagesUntil('Z')).length, 1)
  assert.match(await busy!.error(), /^FATAL 57P01/) // idle now
  for (const client of clients) client.close()
  assert.equal((await worker.child.ended).code, 0)
  worker = heir
})

test('last words leave also when the process ends with them', async () => {
  const big = Buffer.alloc(4 * 1024 * 1024, 1)
  big[0] = 0x64
  big.writeUInt32BE(big.length - 1, 1)
  const talker = await startFakeServer(rig, (peer) => {
    peer.write(loginAnswer())
    peer.socket.end(big)
  })
  await control.open(primaryAt(talker.port))
  const heir = await control.start(3)
  const clients: RawPeer[] = []
  for (let number = 0; number < 8; number++) clients.push(await connectRaw({ port }))
  for (const { socket } of clients) socket.pause()
  for (const client of clients) client.write(hello())
  await until(() => talker.peers.length === 8, { limitMs: 2000, what: 'sessions' })
  control.tell(worker, { kind: 'drain', graceMs: 3000, words: 'test' })
  await until(() => worker.log().includes('"draining"'), { limitMs: 1000, what: 'drain' })
  for (const client of clients) client.socket.resume()
  for (const client of clients) {
    await client.messagesUntil('Z')
    assert.equal((await client.message()).payload.length, big.length - 5)
    client.close()
  }
  assert.equal((await worker.child.ended).code, 0)
  worker = heir
})

test('one worker replaces another under a storm of connections', async (t) => {
  await control.open(primaryAt(server.port))
  let opened = 0
  let done = false
  const failures: string[] = []
  const storm = async () => {
    while (!done) {
      try {
        const client = await loginRaw({ port })
        await client.messagesUntil('Z')
        client.write(TERMINATE)
        client.close()
        opened++
      } catch (error) {
        const { cause } = error as Error
        failures.push(String((cause as Error | undefined)?.message ?? error))
      }
    }
  }
  const storms = Array.from({ length: 16 }, storm)
  t.after(() => {
    done = true
  })
  for (let round = 0; round < 4; round++) {
    const heir = await control.start(4 + round)
    const before = opened
    await until(() => opened > before + 200, { limitMs: 5000, what: 'connections' })
    control.tell(worker, { kind: 'drain', graceMs: 5000, words: 'test', idle: 'cut' })
    assert.equal((await worker.child.ended).code, 0)
    worker = heir
  }
  done = true
  await Promise.all(storms)
  t.diagnostic(
    `${failures.length} of ${opened} connections failed: ${[...new Set(failures)].join()}`,
  )
  assert.ok(failures.length <= 4, failures.join('\n'))
})

test('a worker killed with -9 costs its own clients only', async () => {
  const other = await control.start(20)
  const clients: RawPeer[] = []
  for (let number = 0; number < 20; number++) clients.push(await login())
  const own = new Set(
    (await control.clients())
      .filter(({ id }) => id.startsWith(`${worker.pid}-`))
      .map((c) => c.client),
  )
  const mine = clients.filter(({ socket }) => own.has(`127.0.0.1:${socket.localPort}`))
  await worker.child.stop('SIGKILL')
  for (const client of mine) await client.end()
  for (const client of clients.filter((one) => !mine.includes(one)))
    assert.ok(await isServed(client))
  for (const client of clients) client.close()
  worker = other
})
