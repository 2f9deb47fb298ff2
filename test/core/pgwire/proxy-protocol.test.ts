import assert from 'node:assert/strict'
import test from 'node:test'
import {
  PROXY_V2_BYTES_MAX,
  type ProxySource,
  parseProxyHeader,
} from '../../../src/core/pgwire/proxy-protocol.ts'
import { checkEveryCut } from './every-cut.ts'

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

function v2(command: number, family: number, body: Buffer, length = body.length): Buffer {
  const fixed = Buffer.from([command, family, length >> 8, length & 0xff])
  return Buffer.concat([SIGNATURE, fixed, body])
}

function checkHeader(bytes: Buffer, source: ProxySource | null): void {
  assert.equal(checkEveryCut(parseProxyHeader, bytes), bytes.length)
  assert.deepEqual(parseProxyHeader(bytes), { kind: 'header', size: bytes.length, source })
}

function checkViolation(bytes: Buffer, byteMax = bytes.length): void {
  assert.ok(checkEveryCut(parseProxyHeader, bytes) <= byteMax)
  assert.equal(parseProxyHeader(bytes).kind, 'violation', bytes.toString('latin1'))
}

test('version 1 headers', () => {
  const line = (text: string) => Buffer.from(`PROXY ${text}\r\n`)
  checkHeader(line('TCP4 192.0.2.1 192.0.2.2 56324 5432'), { host: '192.0.2.1', port: 56324 })
  checkHeader(line('TCP6 2001:DB8:0::1 ::1 1 5432'), { host: '2001:db8::1', port: 1 })
  checkHeader(line('TCP6 ::ffff:192.0.2.1 ::1 1 5432'), { host: '192.0.2.1', port: 1 })
  checkHeader(line('UNKNOWN'), null)
  checkHeader(line('UNKNOWN anything at all'), null)
  const longest = `TCP6 ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535`
  checkHeader(line(longest), { host: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', port: 65535 })
})

test('wrong version 1 headers', () => {
  for (const text of [
    'PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 56324 5432 1\r\n',
    'PROXY TCP4 192.0.2.256 192.0.2.2 56324 5432\r\n',
    'PROXY TCP4 192.0.2.01 192.0.2.2 56324 5432\r\n',
    'PROXY TCP4 ::1 ::1 56324 5432\r\n',
    'PROXY TCP6 ::1 192.0.2.2 56324 5432\r\n',
    'PROXY TCP4 ::1 192.0.2.2 56324 5432\r\n',
    'PROXY TCP6 192.0.2.1 192.0.2.2 56324 5432\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 65536 5432\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 -1 5432\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 +5432\r\n',
    'PROXY TCP4 192.0.2.1 x 1 5432\r\n',
    'PROXY TCP4  192.0.2.1 192.0.2.2 1 5432\r\n',
    'PROXY TCP5 192.0.2.1 192.0.2.2 1 5432\r\n',
    'PROXY \r\n',
    'PROXY UNKNOWN\n',
    `PROXY UNKNOWN ${'x'.repeat(200)}\r\n`,
  ]) {
    checkViolation(Buffer.from(text), 107)
  }
})

test('version 2 headers', () => {
  const tcp4 = Buffer.from([192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 0x15, 0x38])
  checkHeader(v2(0x21, 0x11, tcp4), { host: '192.0.2.1', port: 56324 })
  checkHeader(v2(0x21, 0x11, Buffer.concat([tcp4, Buffer.alloc(60, 1)])), {
    host: '192.0.2.1',
    port: 56324,
  })
  const tcp6 = Buffer.alloc(36)
  tcp6.set([0x20, 0x01, 0x0d, 0xb8], 0)
  tcp6[15] = 9
  tcp6.writeUInt16BE(77, 32)
  checkHeader(v2(0x21, 0x21, tcp6), { host: '2001:db8::9', port: 77 })
  const unix = Buffer.alloc(216)
  unix.write('/run/app.sock')
  checkHeader(v2(0x21, 0x31, unix), { host: 'unix:/run/app.sock', port: 0 })
  checkHeader(v2(0x21, 0x31, Buffer.alloc(216)), { host: 'unix', port: 0 })
  checkHeader(v2(0x21, 0x31, Buffer.alloc(216, 0x61)), { host: `unix:${'a'.repeat(108)}`, port: 0 })
  checkHeader(v2(0x21, 0x31, Buffer.alloc(216).fill(0x61, 0, 150)), {
    host: `unix:${'a'.repeat(108)}`,
    port: 0,
  })
  checkHeader(v2(0x20, 0x00, Buffer.alloc(0)), null)
  checkHeader(v2(0x20, 0x11, Buffer.alloc(3)), null)
  checkHeader(v2(0x21, 0x00, Buffer.alloc(5)), null)
})

test('wrong version 2 headers', () => {
  checkViolation(v2(0x11, 0x11, Buffer.alloc(12)), 13)
  checkViolation(v2(0x22, 0x11, Buffer.alloc(12)), 13)
  checkViolation(v2(0x21, 0x11, Buffer.alloc(11)))
  checkViolation(v2(0x21, 0x21, Buffer.alloc(35)))
  checkViolation(v2(0x21, 0x31, Buffer.alloc(215)))
  checkViolation(v2(0x21, 0x12, Buffer.alloc(12)))
  checkViolation(v2(0x21, 0x41, Buffer.alloc(12)))
  checkViolation(v2(0x21, 0x11, Buffer.alloc(0), 0xffff), 16)
  const longest = v2(0x20, 0, Buffer.alloc(0), PROXY_V2_BYTES_MAX - 16)
  assert.equal(parseProxyHeader(longest).kind, 'need-more')
})

test('what is no PROXY header is seen at the first wrong byte', () => {
  checkViolation(Buffer.from([0, 0, 0, 8]), 1)
  checkViolation(Buffer.from('PROXIES'), 5)
  checkViolation(Buffer.from('\r\n\r\n\r'), 5)
  checkViolation(Buffer.from('proxy TCP4'), 1)
})
