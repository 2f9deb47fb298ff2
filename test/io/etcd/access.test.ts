/** Login and TLS against real etcd, with the least rights that suffice. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { EtcdSettings } from '../../../src/io/etcd/follower.ts'
import { type EtcdRig, type EtcdTls, startEtcd, waitUntil } from '../../rig/etcd.ts'
import { type Following, follow, PREFIX, plainSettings } from './following.ts'
import { startRelay } from './relay.ts'

const PORTS = { auth: 21140, tls: 21150, both: 21160, relay: 21170 }
const ROOT = { user: 'root', password: 'root-secret' } as const

async function using(settings: EtcdSettings, work: (seen: Following) => Promise<void>) {
  const seen = follow(settings)
  try {
    await work(seen)
  } finally {
    await seen.follower.close()
  }
}

describe('login', () => {
  let rig: EtcdRig
  let reader: EtcdSettings
  before(async () => {
    rig = await startEtcd({ ports: PORTS.auth, auth: ROOT, args: ['--auth-token-ttl', '2'] })
    await rig.ctl(['role', 'add', 'demo'])
    await rig.ctl(['role', 'grant-permission', 'demo', '--prefix=true', 'read', PREFIX])
    await rig.ctl(['user', 'add', 'reader:secret'])
    await rig.ctl(['user', 'grant-role', 'reader', 'demo'])
    reader = { ...plainSettings(rig.endpoints), username: 'reader', password: 'secret' }
  })
  after(() => rig.stop())

  test('reading the prefix is the only right that is needed', () =>
    using(reader, async (seen) => {
      await seen.live()
      await rig.put(`${PREFIX}leader`, 'n1')
      await seen.shows('leader=n1')
    }))

  test('a token that expired while the peer was silent is replaced', async () => {
    const relay = await startRelay(PORTS.relay, rig.endpoints[0]!)
    try {
      await using({ ...reader, endpoints: [relay.address] }, async (seen) => {
        await seen.live()
        relay.freeze()
        await seen.lost()
        await rig.put(`${PREFIX}leader`, 'n2')
        relay.thaw()
        await seen.shows('leader=n2')
        await seen.live()
      })
    } finally {
      await relay.close()
    }
  })

  test('tokens forgotten while connected: logged in again, nothing lost', () =>
    using(reader, async (seen) => {
      await seen.live()
      await rig.ctl(['auth', 'disable'])
      await rig.ctl(['auth', 'enable'])
      await waitUntil(() => seen.follower.stats().errors > 0, 'the token was not refused')
      await rig.put(`${PREFIX}leader`, 'n3')
      await seen.shows('leader=n3')
      assert.equal(seen.follower.stats().reloads, 0)
      assert.deepEqual(
        seen.healths.map(({ kind }) => kind),
        ['live'],
      )
    }))

  test('etcd restarted forgets tokens: logged in again', () =>
    using(reader, async (seen) => {
      await seen.live()
      await rig.kill(0)
      await rig.start(0)
      await rig.put(`${PREFIX}leader`, 'n4')
      await seen.shows('leader=n4')
      await seen.live()
    }))

  test('a wrong password, no password and no rights are lost with the reason', async () => {
    const wrong = { ...reader, password: 'guess' }
    const nobody = { ...reader, username: null, password: null }
    await using(wrong, async (seen) => {
      await seen.lost()
      const health = seen.healths.at(-1)!
      assert.ok(health.kind === 'lost' && health.why.startsWith('login-refused'), health.kind)
      assert.equal(seen.snapshots.length, 0)
    })
    await using(nobody, async (seen) => {
      await seen.lost()
      assert.equal(seen.snapshots.length, 0)
    })
    const elsewhere = follow(reader, '/service/secret/')
    try {
      await elsewhere.lost()
      const health = elsewhere.healths.at(-1)!
      assert.ok(health.kind === 'lost' && health.why.startsWith('permission-denied'), health.kind)
    } finally {
      await elsewhere.follower.close()
    }
  })

  test('credentials in the settings do no harm when etcd wants none', async () => {
    const open = await startEtcd({ ports: PORTS.both })
    try {
      await using({ ...reader, endpoints: open.endpoints }, async (seen) => {
        await seen.live()
        await open.put(`${PREFIX}leader`, 'n1')
        await seen.shows('leader=n1')
      })
    } finally {
      await open.stop()
    }
  })
})

describe('TLS', () => {
  let dir: string
  let rig: EtcdRig
  let settings: EtcdSettings
  const pem = (name: string) => readFileSync(join(dir, name), 'utf8')

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'pgsteer-tls-'))
    const tls = makeCertificates(dir)
    rig = await startEtcd({ ports: PORTS.tls, tls })
    settings = {
      ...plainSettings(rig.endpoints),
      protocol: 'https',
      ca: pem('ca.crt'),
      cert: pem('client.crt'),
      key: pem('client.key'),
    }
  })
  after(async () => {
    await rig?.stop()
    rmSync(dir, { recursive: true, force: true })
  })

  test('with CA and client certificate', () =>
    using(settings, async (seen) => {
      await seen.live()
      await rig.put(`${PREFIX}leader`, 'n1')
      await seen.shows('leader=n1')
    }))

  test('by a name that the certificate has', () =>
    using({ ...settings, endpoints: [`localhost:${PORTS.tls}`] }, (seen) => seen.live()))

  test('not at an address that the certificate does not have', async () => {
    const relay = await startRelay(PORTS.relay + 2, rig.endpoints[0]!, '127.0.0.2')
    try {
      await using({ ...settings, endpoints: [relay.address] }, async (seen) => {
        await seen.lost()
        const health = seen.healths.at(-1)!
        assert.ok(health.kind === 'lost' && /not in the cert/.test(health.why), health.kind)
      })
    } finally {
      await relay.close()
    }
  })

  test('without client certificate, with a foreign CA, with a broken PEM, in plain: lost', async () => {
    const wrongs: readonly (readonly [what: string, EtcdSettings])[] = [
      ['no client certificate', { ...settings, cert: null, key: null }],
      ['foreign CA', { ...settings, ca: pem('foreign.crt') }],
      ['the CAs of Node', { ...settings, ca: null }],
      ['broken PEM', { ...settings, key: 'nonsense' }],
      ['plain', { ...settings, protocol: 'http' }],
    ]
    await Promise.all(
      wrongs.map(([what, wrong]) =>
        using(wrong, async (seen) => {
          await seen.lost()
          assert.equal(seen.snapshots.length, 0, what)
        }),
      ),
    )
  })

  test('a peer silent in the middle of the handshake', async () => {
    const relay = await startRelay(PORTS.relay + 1, rig.endpoints[0]!)
    relay.freeze()
    try {
      await using({ ...settings, endpoints: [relay.address, ...rig.endpoints] }, (seen) =>
        seen.live(1500),
      )
    } finally {
      await relay.close()
    }
  })
})

function makeCertificates(dir: string): EtcdTls {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  for (const name of ['ca', 'foreign'])
    openssl(
      ...['req', '-x509', ...key, '-keyout', `${name}.key`, '-out', `${name}.crt`],
      ...['-days', '2', '-subj', `/CN=${name}`],
    )
  writeFileSync(join(dir, 'names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
  for (const name of ['server', 'client']) {
    const request = ['-out', `${name}.csr`, '-subj', `/CN=${name}`]
    openssl('req', ...key, '-keyout', `${name}.key`, ...request)
    openssl(
      ...['x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-days', '2'],
      ...['-CAcreateserial', '-extfile', 'names', '-out', `${name}.crt`],
    )
  }
  const at = (name: string) => join(dir, name)
  return {
    ca: at('ca.crt'),
    serverCert: at('server.crt'),
    serverKey: at('server.key'),
    client: { cert: at('client.crt'), key: at('client.key') },
  }
}
