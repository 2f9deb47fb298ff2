import assert from 'node:assert/strict'
import test from 'node:test'
import {
  compileTrusted,
  formatAddress,
  inTrusted,
  parseAddress,
} from '../../../src/core/pgwire/addresses.ts'

function trusts(entries: readonly string[], address: string): boolean {
  const { list, faults } = compileTrusted(entries)
  assert.deepEqual(faults, [])
  return inTrusted(list, address)
}

test('addresses and blocks of both families', () => {
  assert.equal(trusts(['10.0.0.0/8'], '10.1.2.3'), true)
  assert.equal(trusts(['10.0.0.0/8'], '11.1.2.3'), false)
  assert.equal(trusts(['10.9.9.9/8'], '10.1.2.3'), true)
  assert.equal(trusts(['192.0.2.1'], '192.0.2.1'), true)
  assert.equal(trusts(['192.0.2.1'], '192.0.2.2'), false)
  assert.equal(trusts(['192.0.2.128/25'], '192.0.2.127'), false)
  assert.equal(trusts(['192.0.2.128/25'], '192.0.2.129'), true)
  assert.equal(trusts(['0.0.0.0/0'], '8.8.8.8'), true)
  assert.equal(trusts(['2001:db8::/33'], '2001:db8:7fff::1'), true)
  assert.equal(trusts(['2001:db8::/33'], '2001:db8:8000::1'), false)
  assert.equal(trusts(['fe80::/10'], 'fe80::1%eth0'), true)
  assert.equal(trusts(['::1'], '0:0:0:0:0:0:0:1'), true)
})

test('an IPv4 address inside IPv6 counts as the IPv4 address', () => {
  assert.equal(trusts(['10.0.0.0/8'], '::ffff:10.1.2.3'), true)
  assert.equal(trusts(['::ffff:10.0.0.0/104'], '10.1.2.3'), true)
  assert.equal(trusts(['::/0'], '10.1.2.3'), false)
  assert.equal(trusts(['0.0.0.0/0'], '::1'), false)
})

test('unix sockets are trusted by name only', () => {
  assert.equal(trusts(['unix'], 'unix'), true)
  assert.equal(trusts(['0.0.0.0/0', '::/0'], 'unix'), false)
  assert.equal(trusts(['unix'], '127.0.0.1'), false)
})

test('nothing is trusted by an empty list, and no text that is no address', () => {
  assert.equal(trusts([], '127.0.0.1'), false)
  for (const text of [
    '',
    'localhost',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7:8::',
    '1:2:3:4::5:6:7:8',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1.2.3.4::',
    '::1.2.3.4:5',
    'x'.repeat(1e6),
  ]) {
    assert.equal(trusts(['0.0.0.0/0', '::/0'], text), false)
  }
})

test('wrong entries are reported, right ones beside them kept', () => {
  const wrong = [
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10/8',
    'host',
    '::ffff:1.2.3.4/95',
  ]
  const { list, faults } = compileTrusted([...wrong, '127.0.0.1'])
  assert.deepEqual(faults, wrong)
  assert.equal(inTrusted(list, '127.0.0.1'), true)
})

test('addresses are written the usual way', () => {
  for (const [text, expected] of [
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::', '::'],
    ['1::', '1::'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['192.0.2.1', '192.0.2.1'],
  ] as const) {
    assert.equal(formatAddress(parseAddress(text)!), expected)
  }
})
