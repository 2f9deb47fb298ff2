import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseApiUrl, parseConnUrl } from '../../../src/core/cluster/address.ts'

const GOOD: readonly (readonly [string, string, number])[] = [
  ['postgres://127.0.0.1:5433/postgres', '127.0.0.1', 5433],
  ['postgresql://db1.example.org:6000/app?application_name=x', 'db1.example.org', 6000],
  ['POSTGRES://db1', 'db1', 5432],
  ['postgres://db1:/postgres', 'db1', 5432],
  ['postgres://[::1]:5433/postgres', '::1', 5433],
  ['postgres://[2001:db8::7]/postgres', '2001:db8::7', 5432],
  ['postgres://[fe80::1%25eth0]:5433/', 'fe80::1%eth0', 5433],
  ['postgres://[::ffff:10.0.0.1]/', '::ffff:10.0.0.1', 5432],
  ['postgres://user:p%40ss@db1:5433/postgres', 'db1', 5433],
  ['postgres://user:p@ss@db1:5433/postgres', 'db1', 5433],
  ['postgres://db%2Dnode_1:5433/postgres', 'db-node_1', 5433],
  ['postgres://db1:65535?x=/@elsewhere:1', 'db1', 65535],
]

test('host and port of a connection URL', () => {
  for (const [url, host, port] of GOOD) {
    assert.deepEqual(
      parseConnUrl(url),
      { kind: 'address', address: { host, port }, otherHosts: 0 },
      url,
    )
  }
})

test('of several hosts the first counts', () => {
  assert.deepEqual(parseConnUrl('postgres://u@h1:5001,[::1]:5002,h3/db'), {
    kind: 'address',
    address: { host: 'h1', port: 5001 },
    otherHosts: 2,
  })
})

const BAD = [
  '',
  'postgres',
  'postgres://',
  'postgres:///db',
  'postgres://:5432/db',
  'postgres://user@/db',
  'mysql://db1/',
  ' postgres://db1/',
  'postgres://db1:0/',
  'postgres://db1:65536/',
  'postgres://db1:-1/',
  'postgres://db1:12x/',
  'postgres://::1:5432/',
  'postgres://[::1/',
  'postgres://[::1]x:5432/',
  'postgres://[db1]/',
  'postgres://[12345::]/',
  'postgres://[::1%25eth0%25]/',
  'postgres://%2Fvar%2Frun/db',
  'postgres://db1%00/',
  'postgres://db%zz/',
  'postgres://db 1/',
  'postgres://db1\n/',
  'postgres://,db2/',
  `postgres://${'a'.repeat(256)}/`,
  `postgres://db1/${'a'.repeat(5000)}`,
]

test('everything else is a fault with words', () => {
  for (const url of BAD) {
    const parsed = parseConnUrl(url)
    assert.equal(parsed.kind, 'fault', url)
    assert.ok(parsed.kind === 'fault' && parsed.what.length > 5)
  }
})

test('an API URL keeps scheme and authority only', () => {
  assert.equal(parseApiUrl('http://127.0.0.1:8008/patroni'), 'http://127.0.0.1:8008')
  assert.equal(parseApiUrl('HTTPS://db1/patroni?x#y'), 'https://db1')
  assert.equal(parseApiUrl('https://[::1]:8008/patroni'), 'https://[::1]:8008')
  assert.equal(parseApiUrl('http://u:p@db1:8008/'), 'http://db1:8008')
  for (const bad of ['', 'ftp://db1/', 'http://', 'http://:80', 'http://db1:99999', 'db1:8008']) {
    assert.equal(parseApiUrl(bad), null, bad)
  }
})

test('no text makes the parsers throw, and a port is always one', () => {
  const piece = fc.constantFrom(
    'postgres://',
    'http://',
    '[',
    ']',
    ':',
    '@',
    ',',
    '%',
    '%2',
    '/',
    '5432',
    'a',
    '::1',
  )
  const text = fc
    .array(fc.oneof(piece, fc.string({ unit: 'binary' })))
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(text, (rest) => {
      for (const url of [rest, `postgres://${rest}`]) {
        const parsed = parseConnUrl(url)
        if (parsed.kind === 'fault') continue
        assert.ok(parsed.address.host.length > 0)
        assert.ok(parsed.address.port >= 1 && parsed.address.port <= 65535)
      }
      const origin = parseApiUrl(`http://${rest}`)
      if (origin !== null) assert.ok(URL.canParse(`${origin}/patroni`))
    }),
    { numRuns: 1000 },
  )
})
