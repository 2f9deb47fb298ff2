import assert from 'node:assert/strict'
import test from 'node:test'
import { serialize } from 'pg-protocol'
import {
  cancelRequest,
  GSSENC_REQUEST,
  SSL_REQUEST,
  startupPacket,
} from '../../../src/core/pgwire/messages.ts'
import {
  parseOpening,
  type Replication,
  STARTUP_BYTES_MAX,
  type Startup,
} from '../../../src/core/pgwire/startup.ts'
import { checkEveryCut } from './every-cut.ts'

function startup(parameters: Record<string, string>, protocol?: { major: number; minor: number }) {
  return startupPacket(Object.entries(parameters), protocol)
}

function parseStartup(bytes: Buffer): Startup {
  const opening = parseOpening(bytes)
  if (opening.kind !== 'startup') assert.fail(`not a startup packet: ${JSON.stringify(opening)}`)
  return opening
}

/** A packet with a right length word around any code and body. */
function packet(code: number, body: string, length?: number): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(8), Buffer.from(body, 'latin1')])
  bytes.writeUInt32BE(length ?? bytes.length, 0)
  bytes.writeUInt32BE(code, 4)
  return bytes
}

const V3 = 0x0003_0000

test('requests for encryption are recognised at every cut', () => {
  assert.equal(checkEveryCut(parseOpening, SSL_REQUEST), 8)
  assert.equal(checkEveryCut(parseOpening, GSSENC_REQUEST), 8)
  assert.deepEqual(parseOpening(serialize.requestSsl()), { kind: 'ssl-request', size: 8 })
  assert.deepEqual(parseOpening(GSSENC_REQUEST), { kind: 'gssenc-request', size: 8 })
})

test('TLS from the first byte is recognised by that byte', () => {
  assert.equal(checkEveryCut(parseOpening, Buffer.from([0x16, 3, 1, 2, 0, 1])), 1)
  assert.deepEqual(parseOpening(Buffer.from([0x16])), { kind: 'direct-tls' })
})

test('a startup packet gives its parameters at every cut', () => {
  const bytes = startup({
    user: 'ann',
    database: 'shop',
    application_name: 'cart',
    client_encoding: 'UTF8',
    '_pq_.something': '1',
  })
  assert.equal(checkEveryCut(parseOpening, bytes), bytes.length)
  const read = parseStartup(bytes)
  assert.equal(read.size, bytes.length)
  assert.deepEqual(
    [read.user, read.database, read.application, read.replication, read.target],
    ['ann', 'shop', 'cart', 'none', null],
  )
  assert.equal(read.parameters.get('_pq_.something'), '1')
  assert.deepEqual(read.protocol, { major: 3, minor: 0 })
})

test("another encoder's packets are read", () => {
  const read = parseStartup(serialize.startup({ user: 'ann', database: 'shop' }))
  assert.deepEqual([read.user, read.database], ['ann', 'shop'])
  const cancel = parseOpening(serialize.cancel(4711, 99))
  assert.equal(cancel.kind === 'cancel' && cancel.pid, 4711)
})

test('every minor version of protocol 3 passes, other major versions do not', () => {
  for (const minor of [0, 2, 9999]) {
    const read = parseStartup(startup({ user: 'a' }, { major: 3, minor }))
    assert.deepEqual(read.protocol, { major: 3, minor })
  }
  for (const [code, name] of [
    [0x0002_0000, '2.0'],
    [0x0004_0000, '4.0'],
    [0, '0.0'],
    [80_877_105, '1234.5681'],
  ] as const) {
    const opening = parseOpening(packet(code, 'user\0a\0\0'))
    const what = `unsupported frontend protocol ${name}: only 3.x is supported`
    assert.deepEqual(opening, { kind: 'violation', what })
    assert.equal(checkEveryCut(parseOpening, packet(code, 'user\0a\0\0')), 8)
  }
})

test('the user may be missing: the server refuses that itself, with its own SQLSTATE', () => {
  const read = parseStartup(packet(V3, '\0'))
  assert.deepEqual([read.user, read.database, read.parameters.size], [null, null, 0])
  assert.equal(parseStartup(startup({ user: 'a', database: '' })).database, null)
})

test('a name given twice has its last value, as in PostgreSQL', () => {
  assert.equal(parseStartup(packet(V3, 'user\0a\0user\0b\0\0')).user, 'b')
})

test('a wrong layout is refused in the words of PostgreSQL', () => {
  const what = 'invalid startup packet layout: expected terminator as last byte'
  for (const body of [
    '',
    'user\0ann\0',
    'user\0\0',
    'user\0ann',
    'user',
    'user\0ann\0database\0',
    'user\0ann\0\0\0',
    'user\0ann\0\0user\0b\0\0',
    'user\0ann\0x',
  ]) {
    const bytes = packet(V3, body)
    assert.deepEqual(parseOpening(bytes), { kind: 'violation', what }, JSON.stringify(body))
    checkEveryCut(parseOpening, bytes)
  }
})

test('lengths are judged before anything is waited for', () => {
  const bad = { kind: 'violation', what: 'invalid length of startup packet' }
  for (const length of [0, 1, 4, 7, STARTUP_BYTES_MAX + 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    assert.deepEqual(parseOpening(packet(V3, '', length).subarray(0, 4)), bad, `${length}`)
    assert.ok(checkEveryCut(parseOpening, packet(V3, 'user\0a\0\0', length)) <= 4)
  }
  for (const bytes of [
    'GET / HTTP/1.1\r\n',
    '\x80\x2e\x01',
    'SSH-2.0-x',
    '\x01',
    '\0\x01',
    '\0\0\x28',
  ]) {
    const text = Buffer.from(bytes, 'latin1')
    assert.ok(checkEveryCut(parseOpening, text) <= 3, bytes)
    assert.deepEqual(parseOpening(text), bad)
  }
  assert.deepEqual(parseOpening(packet(V3, '', STARTUP_BYTES_MAX)), { kind: 'need-more' })
  assert.deepEqual(parseOpening(Buffer.alloc(3)), { kind: 'need-more' })
})

test('the longest packet is taken, a longer one is not', () => {
  const overhead = startup({ user: '' }).length
  const longest = startup({ user: 'u'.repeat(STARTUP_BYTES_MAX - overhead) })
  assert.equal(longest.length, STARTUP_BYTES_MAX)
  assert.equal(parseStartup(longest).size, STARTUP_BYTES_MAX)
})

test('requests for encryption and cancels of a wrong length are refused at their eighth byte', () => {
  const badCancel = { kind: 'violation', what: 'invalid length of query cancel packet' }
  for (const length of [8, 12, 15, 269, 10_000]) {
    assert.deepEqual(parseOpening(packet(80_877_102, '', length)), badCancel, `${length}`)
  }
  assert.equal(parseOpening(packet(80_877_103, '', 9)).kind, 'violation')
  assert.equal(parseOpening(packet(80_877_104, '', 12)).kind, 'violation')
})

test('cancel requests carry keys of 4 to 256 bytes', () => {
  for (const keyBytes of [4, 5, 32, 256]) {
    const key = Buffer.alloc(keyBytes, 0xab)
    const bytes = cancelRequest(4711, key)
    assert.equal(checkEveryCut(parseOpening, bytes), bytes.length)
    assert.deepEqual(parseOpening(bytes), {
      kind: 'cancel',
      size: bytes.length,
      pid: 4711,
      key,
      bytes,
    })
  }
})

test('a parsed cancel does not share memory with the read buffer', () => {
  const bytes = cancelRequest(1, Buffer.from([1, 2, 3, 4]))
  const cancel = parseOpening(bytes)
  bytes.fill(0)
  assert.ok(cancel.kind === 'cancel' && cancel.key[0] === 1 && cancel.bytes[3] === 16)
})

test('replication is read as PostgreSQL reads a boolean', () => {
  const cases: [string, Replication][] = [
    ['database', 'logical'],
    ...['true', 't', 'TRUE', 'yes', 'y', 'on', 'ON', '1'].map((v): [string, Replication] => [
      v,
      'physical',
    ]),
    ...['false', 'no', 'off', 'o', '0', '', 'maybe', 'trues'].map((v): [string, Replication] => [
      v,
      'none',
    ]),
  ]
  for (const [replication, expected] of cases) {
    assert.equal(
      parseStartup(startup({ user: 'a', replication })).replication,
      expected,
      replication,
    )
  }
})

test('a target is read from options and from a parameter, which wins', () => {
  const target = (parameters: Record<string, string>) =>
    parseStartup(startup({ user: 'a', ...parameters })).target
  assert.equal(target({ options: '-c pgsteer.target=replica' }), 'replica')
  assert.equal(target({ 'pgsteer.target': 'any' }), 'any')
  assert.equal(target({ 'PgSteer.Target': 'any' }), 'any')
  assert.equal(target({ 'pgsteer.target': 'any', options: '--pgsteer.target=replica' }), 'any')
  assert.equal(target({ options: '-c work_mem=1MB' }), null)
  assert.equal(target({ options: '-c pgsteer.target=Nonsense' }), 'Nonsense')
})
