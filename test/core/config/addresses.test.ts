import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  isIpv6,
  isNetwork,
  overlaps,
  parseHostPort,
  parseListen,
} from '../../../src/core/config/addresses.ts'

const tcp = (host: string, port: number) => ({
  kind: 'tcp',
  host,
  port,
  ipv6Only: host.includes(':'),
})

test('listen addresses', () => {
  const cases: [string, unknown][] = [
    ['0.0.0.0:5000', [tcp('0.0.0.0', 5000)]],
    ['*:5000', [tcp('0.0.0.0', 5000), tcp('::', 5000)]],
    ['[::1]:5000', [tcp('::1', 5000)]],
    ['localhost:1', [tcp('localhost', 1)]],
    ['db-1.example.org:65535', [tcp('db-1.example.org', 65535)]],
    ['/run/pgsteer:5000', [{ kind: 'unix', path: '/run/pgsteer/.s.PGSQL.5000' }]],
    ['/run/pgsteer/:5000', [{ kind: 'unix', path: '/run/pgsteer/.s.PGSQL.5000' }]],
    ['/:5000', [{ kind: 'unix', path: '/.s.PGSQL.5000' }]],
    [`/${'x'.repeat(100)}:5000`, null],
    ['::1:5000', null],
    ['[::g]:5000', null],
    ['[127.0.0.1]:5000', null],
    ['256.0.0.1:5000', null],
    ['1.2.3:5000', null],
    ['host:0', null],
    ['host:65536', null],
    ['host', null],
    [':5000', null],
    ['/run/pgsteer', null],
    ['run/pgsteer:5000', null],
    ['', null],
  ]
  for (const [given, expected] of cases) assert.deepEqual(parseListen(given), expected, given)
})

test('host:port as in Patroni: the last colon divides', () => {
  assert.deepEqual(parseHostPort('::1:8008', null), { host: '::1', port: 8008 })
  assert.deepEqual(parseHostPort('[::1]:8008', null), { host: '::1', port: 8008 })
  assert.deepEqual(parseHostPort('*:8008', null), { host: '*', port: 8008 })
  assert.deepEqual(parseHostPort('etcd', 2379), { host: 'etcd', port: 2379 })
  assert.equal(parseHostPort('etcd', null), null)
  assert.equal(parseHostPort('http://etcd:2379', 2379), null)
  assert.equal(parseHostPort('a b:1', null), null)
})

test('networks', () => {
  for (const good of [
    '10.0.0.1',
    '10.0.0.0/8',
    '::1',
    'fe80::/10',
    '::ffff:1.2.3.4',
    '0.0.0.0/0',
  ]) {
    assert.equal(isNetwork(good), true, good)
  }
  for (const bad of ['10.0.0.0/33', '::/129', '10.0.0', 'host', '', '10.0.0.1/', '01.2.3.4']) {
    assert.equal(isNetwork(bad), false, bad)
  }
})

test('only real overlaps count', () => {
  const at = (host: string) => ({ host, port: 1 })
  assert.equal(overlaps(at('0.0.0.0'), at('10.0.0.1')), true)
  assert.equal(overlaps(at('*'), at('::1')), true)
  assert.equal(overlaps(at('0.0.0.0'), at('::1')), false)
  assert.equal(overlaps(at('127.0.0.1'), at('127.0.0.2')), false)
  assert.equal(overlaps(at('*'), { host: '*', port: 2 }), false)
})

test('every IPv6 address is one', () => {
  fc.assert(fc.property(fc.ipV6(), (it) => isIpv6(it)))
  fc.assert(fc.property(fc.ipV4(), (it) => !isIpv6(it)))
})
