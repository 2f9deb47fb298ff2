/** Questions to members that can't even be put. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { askMember, type PeerTls } from '../../../src/io/http/patroni-client.ts'

const NOTHING: PeerTls = { ca: null, cert: null, key: null, passphrase: null, verifyHost: false }

test('a certificate that OpenSSL refuses is an answer, not an exception', async () => {
  const pem = '-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n'
  for (const tls of [
    { ...NOTHING, cert: pem, key: pem },
    { ...NOTHING, ca: pem },
  ]) {
    const reply = await askMember('https://127.0.0.1:1', '/patroni', 1000, tls)
    assert.equal(reply.kind, 'failed')
  }
})
