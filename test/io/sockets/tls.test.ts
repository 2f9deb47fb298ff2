/** TLS on either side: passed through, ended here, towards servers; with real clients and servers. */
import assert from 'node:assert/strict'
import { chmodSync, chownSync } from 'node:fs'
import { after, beforeEach, test } from 'node:test'
import tls from 'node:tls'
import type { ClientTls, ServerTls } from '../../../src/core/fleet/messages.ts'
import { cancelRequest } from '../../../src/core/pgwire/messages.ts'
import { primaryAt } from '../../rig/fake-control.ts'
import { echoScript, resetFakeServers, startFakeServer } from '../../rig/fake-server.ts'
import { startPostgres } from '../../rig/postgres.ts'
import { closeRawPeers, connectRaw, hello, RawPeer, SSL_REQUEST } from '../../rig/raw-peer.ts'
import { until } from '../../rig/wait.ts'
import { type Certificate, makeAuthority, makeCertificate } from './certificates.ts'
import { psql as runPsql } from './psql.ts'
import { limits, openWorld } from './world.ts'

const world = await openWorld()
const { rig, control, worker, port } = world
after(() => world.end())

const dir = `${rig.dir}/tls`
const authority = makeAuthority(dir, 'authority')
const stranger = makeAuthority(dir, 'stranger')
const routerCert = makeCertificate(dir, authority, 'router')
const serverCert = makeCertificate(dir, authority, 'server')
const elsewhere = makeCertificate(dir, authority, 'elsewhere', 'DNS:elsewhere')
const clientCert = makeCertificate(dir, authority, 'postgres', 'DNS:client', 'client')
const strangeCert = makeCertificate(dir, stranger, 'postgres', 'DNS:client', 'strange')
for (const file of [serverCert.keyFile, elsewhere.keyFile]) {
  if (rig.account !== null) chownSync(file, rig.account.uid, rig.account.gid)
  chmodSync(file, 0o600)
}
chmodSync(dir, 0o755)

const HBA = ['host all all 127.0.0.1/32 scram-sha-256', 'host replication all 127.0.0.1/32 trust']
const [plain, secure] = await Promise.all([
  startPostgres(rig, { name: 'plain', hba: HBA }),
  startPostgres(rig, {
    name: 'secure',
    hba: HBA,
    settings: {
      ssl: 'on',
      ssl_cert_file: serverCert.certFile,
      ssl_key_file: serverCert.keyFile,
    },
  }),
])

const WHO =
  "select coalesce((select ssl::text from pg_stat_ssl where pid = pg_backend_pid()), '?'), 41 + 1"
async function psql(conninfo: string, sql = WHO) {
  const ran = await runPsql(rig, port, sql, conninfo)
  await control.awaitClients(0)
  return ran
}

const NO_SERVER_TLS: ServerTls = { mode: 'prefer', ca: null, cert: null, key: null }

beforeEach(async () => {
  closeRawPeers()
  resetFakeServers()
  await control.awaitClients(0)
  await control.configure({ clientTls: null, serverTls: NO_SERVER_TLS, limits: limits({}) })
})

function endHere(mode: ClientTls['mode'], by: Certificate = routerCert): ClientTls {
  return { mode, cert: by.cert, key: by.key, ca: authority.cert }
}

test('passed through untouched: the client verifies the certificate of the server', async () => {
  await control.open(primaryAt(secure.port))
  const verify = `sslmode=verify-full sslrootcert=${authority.certFile}`
  for (const mode of ['sslmode=require', verify, 'sslmode=prefer']) {
    const end = await world.endOf(async () => assert.equal((await psql(mode)).out, 'true|42'))
    assert.deepEqual([end.tls, end.user], ['passed-through', null])
    // Who said goodbye can't be seen in there, only who closed first, and how.
    assert.match(end.reason, /^(client-closed|client-error|server-closed)$/)
  }
  const strange = await psql(`sslmode=verify-ca sslrootcert=${stranger.certFile}`)
  assert.match(strange.err, /certificate verify failed/)
})

test('sslmode=prefer with a server that has no TLS goes on in the clear; require is told no', async () => {
  await control.open(primaryAt(plain.port))
  assert.equal((await psql('sslmode=prefer')).out, 'false|42')
  assert.match((await psql('sslmode=require')).err, /server does not support SSL/)
})

test('ended here: sslmode require and verify-full against the certificate of the router', async () => {
  await control.open(primaryAt(plain.port))
  await control.configure({ clientTls: endHere('prefer') })
  const verify = `sslmode=verify-full sslrootcert=${authority.certFile}`
  for (const mode of ['sslmode=require', verify]) {
    const end = await world.endOf(async () => assert.equal((await psql(mode)).out, 'false|42'))
    assert.deepEqual([end.tls, end.reason, end.user], ['ended-here', 'client-closed', 'postgres'])
  }
  assert.equal((await psql('sslmode=disable')).out, 'false|42')
})

test('a plain client where TLS is required: 28000', async () => {
  await control.open(primaryAt(plain.port))
  await control.configure({ clientTls: endHere('require') })
  const end = await world.endOf(async () => {
    assert.match((await psql('sslmode=disable')).err, /FATAL: {2}connection requires TLS/)
  })
  assert.equal(end.reason, 'tls-required')
  assert.equal((await psql('sslmode=require')).out, 'false|42')
})

test('client certificates: verify-ca takes any of the authority, verify-full the user', async () => {
  await control.open(primaryAt(plain.port))
  const by = ({ certFile, keyFile }: Certificate) =>
    `sslmode=require sslcert=${certFile} sslkey=${keyFile}`
  chmodSync(clientCert.keyFile, 0o600)
  chmodSync(strangeCert.keyFile, 0o600)
  for (const mode of ['verify-ca', 'verify-full'] as const) {
    await control.configure({ clientTls: endHere(mode) })
    assert.equal((await psql(by(clientCert))).out, 'false|42', mode)
    for (const wrong of ['sslmode=require sslcert=/none', by(strangeCert)]) {
      const end = await world.endOf(async () => {
        assert.match((await psql(wrong)).err, /requires a valid client certificate/)
      })
      assert.equal(end.reason, 'tls-failed')
    }
  }
  const other = await psql(`${by(clientCert)} user=somebody`)
  assert.match(other.err, /common name of the client certificate is not the user name/)
})

function connectTls(alpn: string[] | undefined): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      port,
      host: '127.0.0.1',
      ca: authority.cert,
      ...(alpn === undefined ? {} : { ALPNProtocols: alpn }),
    })
    socket.once('secureConnect', () => resolve(socket))
    socket.once('error', reject)
  })
}

test('direct TLS with ALPN is ended here; without it, or with another, refused', async () => {
  const server = await startFakeServer(rig, echoScript('x'))
  await control.open(primaryAt(server.port))
  await control.configure({ clientTls: endHere('require') })
  const client = new RawPeer(await connectTls(['postgresql']))
  client.write(hello())
  await client.messagesUntil('Z')
  client.close()
  await control.awaitClients(0)
  const end = await world.endOf(async () => {
    const silent = new RawPeer(await connectTls(undefined))
    silent.write(hello())
    assert.equal((await silent.end()).length, 0)
  })
  assert.equal(end.reason, 'tls-failed')
  await assert.rejects(connectTls(['http/1.1']), /alert no application protocol|ECONNRESET|alert/)
})

test('direct TLS passes through to a server that can, byte for byte', async () => {
  const got: Buffer[] = []
  const server = await startFakeServer(rig, () => undefined)
  server.onRaw = async (peer) => {
    got.push(await peer.read(300))
    peer.write('answer')
  }
  await control.open(primaryAt(server.port))
  const client = await connectRaw({ port })
  const bytes = Buffer.concat([Buffer.from([0x16, 3, 1]), Buffer.alloc(297, 7)])
  client.write(bytes)
  assert.equal((await client.read(6)).toString(), 'answer')
  assert.deepEqual(got, [bytes])
  client.close()
})

test('a handshake cut at any byte works', async () => {
  const server = await startFakeServer(rig, echoScript('x'))
  await control.open(primaryAt(server.port))
  await control.configure({ clientTls: endHere('require') })
  const raw = await connectRaw({ port })
  for (const byte of SSL_REQUEST) {
    raw.write(Buffer.from([byte]))
    await new Promise(setImmediate)
  }
  assert.equal((await raw.read(1)).toString(), 'S')
  raw.socket.removeAllListeners('data')
  const socket = tls.connect({ socket: raw.socket, ca: authority.cert, servername: 'localhost' })
  const client = new RawPeer(socket)
  for (const byte of hello()) socket.write(Buffer.from([byte]))
  await client.messagesUntil('Z')
  client.close()
})

test('a cancel request inside TLS', async () => {
  const server = await startFakeServer(rig, echoScript('x'))
  await control.open(primaryAt(server.port))
  await control.configure({ clientTls: endHere('require') })
  const client = new RawPeer(await connectTls(['postgresql']))
  client.write(cancelRequest(5, Buffer.from('keys')))
  await client.end()
  client.close()
  assert.equal(server.cancels.length, 1)
})

test('rubbish instead of a handshake, and one that is never finished', async () => {
  await control.configure({
    clientTls: endHere('require'),
    limits: limits({ loginTimeoutMs: 200 }),
  })
  const failed = await world.endOf(async () => {
    const client = await connectRaw({ port })
    client.write(SSL_REQUEST)
    await client.read(1)
    client.write('GET / HTTP/1.1\r\n\r\n')
    await client.end()
    client.close()
  })
  assert.equal(failed.reason, 'tls-failed')
  const slow = await world.endOf(async () => {
    const client = await connectRaw({ port })
    client.write(SSL_REQUEST)
    await client.read(1)
    assert.equal((await client.end()).length, 0) // nothing in the clear inside a handshake
    client.close()
  })
  assert.equal(slow.reason, 'login-timeout')
})

test('new certificates serve new clients; sessions stay as they are', async () => {
  const server = await startFakeServer(rig, echoScript('x'))
  await control.open(primaryAt(server.port))
  await control.configure({ clientTls: endHere('require') })
  const before = await connectTls(['postgresql'])
  assert.equal(before.getPeerCertificate().subject.CN, 'router')
  const client = new RawPeer(before)
  client.write(hello())
  await client.messagesUntil('Z')
  await control.configure({ clientTls: endHere('require', serverCert) })
  const later = await connectTls(['postgresql'])
  assert.equal(later.getPeerCertificate().subject.CN, 'server')
  later.destroy()
  client.write(Buffer.from('Q\0\0\0\x06q\0'))
  assert.match((await client.message()).payload.toString(), /^x:q/)
  client.close()
})

test('unusable certificates change nothing and are reported', async () => {
  await control.open(primaryAt(plain.port))
  await control.configure({ clientTls: endHere('require') })
  const heard = control.heard('listening').length
  await control.configure({
    clientTls: { ...endHere('require'), key: 'no key' },
    limits: limits({ maxClients: 1 }),
  })
  assert.match(control.heard('listening').slice(heard)[0]!.faults[0]!.what, /DECODER|PEM|key|asn1/i)
  assert.match(worker.log(), /settings can not be used/)
  assert.equal((await psql('sslmode=require')).out, 'false|42')
})

test('towards servers: the modes of server_tls', async () => {
  const cases: [ServerTls['mode'], string | null, typeof plain, string | RegExp][] = [
    ['disable', null, secure, 'false|42'],
    ['prefer', null, secure, 'true|42'],
    ['prefer', null, plain, 'false|42'],
    ['require', null, secure, 'true|42'],
    ['require', null, plain, /server connection lost: the server refused TLS/],
    ['verify-ca', authority.cert, secure, 'true|42'],
    ['verify-ca', stranger.cert, secure, /server connection lost: TLS with the server failed/],
    ['verify-full', authority.cert, secure, 'true|42'],
    ['verify-full', stranger.cert, secure, /server connection lost: TLS with the server failed/],
  ]
  for (const [mode, ca, to, expected] of cases) {
    await control.configure({ serverTls: { mode, ca, cert: null, key: null } })
    await control.open(primaryAt(to.port))
    const { out, err } = await psql('sslmode=disable')
    if (typeof expected === 'string') assert.equal(out, expected, `${mode}: ${err}`)
    else assert.match(err, expected, mode)
  }
})

test('mode allow: plain first, and with TLS where the server takes no plain login', async () => {
  const strict = await startPostgres(rig, {
    name: 'strict',
    hba: [
      'hostssl all all 127.0.0.1/32 scram-sha-256',
      'hostnossl postgres all 127.0.0.1/32 scram-sha-256',
    ],
    settings: {
      ssl: 'on',
      ssl_cert_file: serverCert.certFile,
      ssl_key_file: serverCert.keyFile,
    },
  })
  const serverTls: ServerTls = { ...NO_SERVER_TLS, mode: 'allow' }
  await control.configure({ serverTls })
  await control.open(primaryAt(strict.port))
  assert.equal((await psql('sslmode=disable dbname=template1')).out, 'true|42')
  await control.open(primaryAt(secure.port))
  assert.equal((await psql('sslmode=disable')).out, 'false|42')
  await strict.stop()
})

test('a server with an IPv6 address and TLS: an address is no server name', async () => {
  await control.configure({ serverTls: { ...NO_SERVER_TLS, mode: 'require' } })
  await control.open(primaryAt(secure.port, 'n1', '::ffff:127.0.0.1'))
  assert.equal((await psql('sslmode=disable')).out, 'true|42')
})

test('verify-full looks at the name, verify-ca does not', async () => {
  await secure.query(`ALTER SYSTEM SET ssl_cert_file = '${elsewhere.certFile}'`)
  await secure.query(`ALTER SYSTEM SET ssl_key_file = '${elsewhere.keyFile}'`)
  await secure.query('SELECT pg_reload_conf()')
  await control.open(primaryAt(secure.port))
  const use = (mode: ServerTls['mode']) =>
    control.configure({ serverTls: { mode, ca: authority.cert, cert: null, key: null } })
  await use('verify-ca')
  assert.equal((await psql('sslmode=disable')).out, 'true|42')
  await use('verify-full')
  assert.match((await psql('sslmode=disable')).err, /TLS with the server failed/)
})

test('TLS on both sides', async () => {
  await control.open(primaryAt(secure.port))
  await control.configure({
    clientTls: endHere('require'),
    serverTls: { mode: 'require', ca: null, cert: null, key: null },
  })
  assert.equal((await psql('sslmode=require channel_binding=disable')).out, 'true|42')
  // A login by SCRAM can't be bound to two different TLS connections; drivers that insist fail.
  assert.match((await psql('sslmode=require')).err, /channel binding/)
  await control.configure({ serverTls: NO_SERVER_TLS })
  assert.equal((await psql('sslmode=require')).out, 'false|42')
})

test('a server that breaks the connection within the handshake is one that is not there yet', async () => {
  const server = await startFakeServer(rig, (peer) => peer.reset())
  server.onSslRequest = (peer) => {
    peer.write('S')
    peer.socket.once('data', () => peer.reset())
  }
  await control.configure({ serverTls: { mode: 'require', ca: null, cert: null, key: null } })
  await control.open(primaryAt(server.port, 'n1'))
  const before = control.trouble().length
  const client = await connectRaw({ port })
  client.write(hello())
  await until(() => control.trouble().length > before + 1, { limitMs: 3000, what: 'trouble' })
  assert.equal(client.received, 0)
  await control.open(primaryAt(secure.port))
  assert.equal((await client.message()).type, 'R') // asked by PostgreSQL itself
  client.close()
})
