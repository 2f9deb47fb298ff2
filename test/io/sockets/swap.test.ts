/** What happens to sessions when their backend loses its role, and to logins that were under way. */
import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { frame } from '../../../src/core/pgwire/messages.ts'
import { anywhere, primaryAt } from '../../rig/fake-control.ts'
import {
  AUTHENTICATION_OK,
  echoScript,
  fatal,
  loginAnswer,
  parameterStatus,
  READY,
  resetFakeServers,
  SASL_QUESTION,
  startFakeServer,
} from '../../rig/fake-server.ts'
import {
  closeRawPeers,
  connectRaw,
  loginRaw,
  query,
  SSL_REQUEST,
  TERMINATE,
} from '../../rig/raw-peer.ts'
import { until } from '../../rig/wait.ts'
import { openWorld } from './world.ts'

const world = await openWorld()
const { rig, control, port } = world
after(() => world.end())
beforeEach(async () => {
  closeRawPeers()
  resetFakeServers()
  await control.awaitClients(0)
})

const CHANGED = 'FATAL 57P01 terminating connection because the primary changed'

test('at a message boundary: FATAL 57P01, then closed; the next connection is on the new primary', async () => {
  const old = await startFakeServer(rig, echoScript('old'))
  const next = await startFakeServer(rig, echoScript('next'))
  await control.open(primaryAt(old.port, 'n1'))
  const client = await loginRaw({ port })
  await client.messagesUntil('Z')
  const end = await world.endOf(async () => {
    assert.equal(await control.open(primaryAt(next.port, 'n2')), 1)
    assert.equal(await client.error(), CHANGED)
    assert.equal((await client.end()).length, 0)
    client.close()
  })
  assert.equal(end.reason, 'primary-changed')
  assert.equal(end.backend, 'n1')
  const again = await loginRaw({ port })
  await again.messagesUntil('Z')
  again.write(query('q'))
  assert.match((await again.message()).payload.toString(), /^next:q/)
  again.close()
})

test('in the middle of a message: closed without a word that would be taken for data', async () => {
  const half = frame('D', Buffer.alloc(1000)).subarray(0, 300)
  const old = await startFakeServer(rig, async (peer) => {
    peer.write(Buffer.concat([loginAnswer(), half]))
  })
  await control.open(primaryAt(old.port, 'n1'))
  const client = await loginRaw({ port })
  await client.messagesUntil('Z')
  await client.read(half.length)
  const end = await world.endOf(async () => {
    assert.equal(await control.open(primaryAt(1, 'n2')), 1)
    assert.equal((await client.end()).length, 0)
  })
  assert.equal(end.reason, 'primary-changed')
  client.close()
})

test('in the middle of a header the same', async () => {
  const old = await startFakeServer(rig, async (peer) => {
    peer.write(Buffer.concat([loginAnswer(), Buffer.from('D\0\0')]))
  })
  await control.open(primaryAt(old.port, 'n1'))
  const client = await loginRaw({ port })
  await client.messagesUntil('Z')
  await client.read(3)
  await control.open(primaryAt(1, 'n2'))
  assert.equal((await client.end()).length, 0)
  client.close()
})

test('sessions of a primary that stays are not touched, nor is anyone by a table that knows nothing', async () => {
  const old = await startFakeServer(rig, echoScript('old'))
  await control.open(primaryAt(old.port, 'n1'))
  const client = await loginRaw({ port })
  await client.messagesUntil('Z')
  assert.equal(await control.hold(), 0) // held, but n1 may still be the primary
  assert.equal(await control.route({ keep: { primary: null, replicaNot: [] } }), 0)
  client.write(query('still'))
  assert.match((await client.message()).payload.toString(), /^old:still/)
  assert.equal(await control.route({ keep: { primary: [], replicaNot: [] } }), 1)
  await client.messagesUntil('E')
  client.close()
})

test('an attempt under way moves over unnoticed', async () => {
  const deaf = await startFakeServer(rig, () => undefined)
  const next = await startFakeServer(rig, echoScript('next'))
  await control.open(primaryAt(deaf.port, 'n1'))
  const client = await loginRaw({ port })
  await until(() => deaf.startups.length === 1, { limitMs: 2000, what: 'attempt' })
  const troubles = control.trouble().length
  await control.open(primaryAt(next.port, 'n2'))
  await client.messagesUntil('Z')
  await until(() => deaf.atOnce === 0, { limitMs: 2000, what: 'end of the old attempt' })
  assert.deepEqual(control.trouble().slice(troubles), [], 'giving up is no trouble of the backend')
  client.close()
})

const RESPONSE = frame('p', Buffer.from('SCRAM-SHA-256\0....n,,n=,r=nonce'))

function scramScript(name: string, asked: Buffer[]) {
  return async (peer: import('../../rig/raw-peer.ts').RawPeer) => {
    peer.write(SASL_QUESTION)
    asked.push((await peer.message()).bytes)
    peer.write(Buffer.concat([loginAnswer(), frame('C', Buffer.from(`${name}\0`)), READY]))
  }
}

test('a login that was only asked who it is begins again on the new primary, asked nothing twice', async () => {
  const said: Buffer[] = []
  const old = await startFakeServer(rig, (peer) => peer.write(SASL_QUESTION))
  const next = await startFakeServer(rig, scramScript('next', said))
  await control.open(primaryAt(old.port, 'n1'))
  const client = await loginRaw({ port })
  assert.deepEqual((await client.message()).bytes, SASL_QUESTION)
  await control.awaitClients(1, 'established')
  await control.open(primaryAt(next.port, 'n2'))
  client.write(RESPONSE)
  assert.equal((await client.message()).type, 'R') // AuthenticationOk: no second question
  assert.match((await client.messagesUntil('C')).at(-1)!.payload.toString(), /^next/)
  assert.deepEqual(said, [RESPONSE])
  client.close()
})

test('so does one that has answered, and whose server closed without a word', async () => {
  const said: Buffer[] = []
  const server = await startFakeServer(rig, async (peer) => {
    peer.write(SASL_QUESTION)
    await peer.message()
    server.script = scramScript('next', said)
    peer.close()
  })
  await control.open(primaryAt(server.port, 'n1'))
  const client = await loginRaw({ port })
  await client.message()
  client.write(RESPONSE)
  assert.equal((await client.message()).type, 'R')
  await client.messagesUntil('C')
  assert.deepEqual(said, [RESPONSE])
  client.close()
})

test('a server that always closes there is not asked for ever', async () => {
  const server = await startFakeServer(rig, async (peer) => {
    peer.write(SASL_QUESTION)
    await peer.message()
    peer.close()
  })
  await control.open(primaryAt(server.port, 'n1'))
  const client = await loginRaw({ port })
  await client.message()
  client.write(RESPONSE)
  assert.match(await client.error(), /^FATAL 08006 server connection lost/)
  assert.ok(server.accepted <= 10, `attempts: ${server.accepted}`)
  client.close()
})

test('another question can not be answered by the same words: FATAL 57P01', async () => {
  const md5 = (salt: string) => frame('R', Buffer.from(`\0\0\0\x05${salt}`))
  const old = await startFakeServer(rig, (peer) => peer.write(md5('aaaa')))
  const next = await startFakeServer(rig, (peer) => peer.write(md5('bbbb')))
  await control.open(primaryAt(old.port, 'n1'))
  const client = await loginRaw({ port })
  await client.message()
  await control.open(primaryAt(next.port, 'n2'))
  assert.equal(await client.error(), CHANGED)
  client.close()
})

test('in recovery, let in without a question: never shown to the client, which waits', async () => {
  const server = await startFakeServer(rig, echoScript('standby', 'on'))
  await control.open(primaryAt(server.port, 'n1'))
  const before = control.trouble().length
  const client = await loginRaw({ port })
  await until(() => control.trouble().length >= before + 2, { limitMs: 2000, what: 'trouble' })
  assert.equal(control.trouble().at(-1), 'n1 in-hot-standby')
  assert.equal(client.received, 0)
  server.script = echoScript('primary', 'off')
  await client.messagesUntil('Z')
  client.close()
})

test('the same when the report comes in bits', async () => {
  const server = await startFakeServer(rig, async (peer) => {
    for (const byte of loginAnswer('on')) {
      peer.write(Buffer.from([byte]))
      await new Promise(setImmediate)
    }
  })
  await control.open(primaryAt(server.port, 'n1'))
  const before = control.trouble().length
  const client = await loginRaw({ port })
  await until(() => control.trouble().length > before, { limitMs: 2000, what: 'trouble' })
  assert.equal(client.received, 0)
  client.close()
})

test('in recovery, after a question: cut before the client can write, the route is re-checked', async () => {
  const server = await startFakeServer(rig, async (peer) => {
    peer.write(SASL_QUESTION)
    await peer.message()
    peer.write(loginAnswer('on'))
  })
  await control.open(primaryAt(server.port, 'n1'))
  const before = control.trouble().length
  const end = await world.endOf(async () => {
    const client = await loginRaw({ port })
    await client.message()
    client.write(RESPONSE)
    assert.equal(await client.error(), CHANGED)
    client.close()
  })
  assert.equal(end.reason, 'hot-standby')
  assert.deepEqual(control.trouble().slice(before), ['n1 in-hot-standby'])
})

test('cut for recovery where the client has half a message: no word is put into the middle of it', {}, async () => {
  const status = parameterStatus('in_hot_standby', 'on')
  const server = await startFakeServer(rig, async (peer) => {
    peer.write(SASL_QUESTION)
    await peer.message()
    const notice = frame('N', Buffer.from('SNOTICE\0\0'))
    peer.write(Buffer.concat([AUTHENTICATION_OK, notice.subarray(0, 6)]))
    await until(() => half, { limitMs: 2000, what: 'half', everyMs: 2 })
    peer.write(Buffer.concat([notice.subarray(6), status]))
  })
  let half = false
  await control.open(primaryAt(server.port, 'n1'))
  const client = await loginRaw({ port })
  await client.message()
  client.write(RESPONSE)
  await client.message()
  await client.read(6)
  half = true
  const rest = await client.end()
  client.close()
  assert.equal(rest.includes('57P01'), false)
})

test('on a replica listener recovery is what is wanted', async () => {
  const server = await startFakeServer(rig, echoScript('replica', 'on'))
  await control.route({
    routes: {
      write: {
        kind: 'open',
        balance: 'leastconn',
        backends: [{ member: 'r1', host: '127.0.0.1', port: server.port, role: 'replica' }],
      },
    },
    keep: { primary: [anywhere('n1')], replicaNot: ['n1'] },
  })
  const client = await loginRaw({ port })
  await client.messagesUntil('Z')
  // A replica that leads now must not turn a reader into a writer.
  assert.equal(await control.route({ keep: { primary: [anywhere('r1')], replicaNot: ['r1'] } }), 1)
  assert.equal(await client.error(), CHANGED)
  client.close()
})

test('TLS passed through: closed, nothing can be said', async () => {
  const server = await startFakeServer(rig, () => undefined)
  server.tlsAnswer = 'S'
  await control.open(primaryAt(server.port, 'n1'))
  const client = await connectRaw({ port })
  client.write(SSL_REQUEST)
  assert.equal((await client.read(1)).toString(), 'S')
  const end = await world.endOf(async () => {
    assert.equal(await control.open(primaryAt(1, 'n2')), 1)
    assert.equal((await client.end()).length, 0)
  })
  assert.deepEqual([end.tls, end.reason], ['passed-through', 'primary-changed'])
  client.close()
})

test('a server that dies without a word: 08006 and what became of the work', async () => {
  const cases = [
    ['', 'nothing was running'],
    ['BEGIN', 'the open transaction was rolled back'],
    ['unanswered', 'the outcome of the last statement is unknown'],
  ] as const
  for (const [sql, words] of cases) {
    const server = await startFakeServer(rig, async (peer) => {
      peer.write(loginAnswer())
      if (sql !== '') await peer.message()
      if (sql === 'BEGIN') peer.write(frame('Z', Buffer.from('T')))
      await until(() => die, { limitMs: 2000, what: 'death', everyMs: 2 })
      peer.reset()
    })
    let die = false
    await control.open(primaryAt(server.port, 'n1'))
    const client = await loginRaw({ port })
    await client.messagesUntil('Z')
    if (sql !== '') client.write(query(sql))
    if (sql === 'BEGIN') await client.messagesUntil('Z')
    die = true
    assert.equal(await client.error(), `FATAL 08006 server connection lost: ${words}`)
    assert.equal(control.trouble().at(-1), 'n1 session-lost')
    client.close()
  }
})

test('a server that says why it goes is believed; nothing is added', async () => {
  const server = await startFakeServer(rig, echoScript('x'))
  await control.open(primaryAt(server.port, 'n1'))
  const client = await loginRaw({ port })
  await client.messagesUntil('Z')
  const before = control.trouble().length
  const words = fatal('57P01', 'terminating connection due to administrator command')
  server.peers.at(-1)!.socket.end(words)
  assert.deepEqual(await client.end(), words)
  assert.equal(control.trouble().length, before)
  client.write(TERMINATE)
  client.close()
})
