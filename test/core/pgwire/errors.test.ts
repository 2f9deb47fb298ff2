import assert from 'node:assert/strict'
import test from 'node:test'
import { DatabaseError, parse } from 'pg-protocol'
import {
  badTarget,
  ERROR_TEXT_CHARS_MAX,
  errorResponse,
  fatalError,
  loginTimeout,
  noPrimary,
  noServer,
  primaryChanged,
  protocolViolation,
  readError,
  routerStopping,
  serverLost,
  tlsRequired,
  tooMany,
} from '../../../src/core/pgwire/errors.ts'

/** Reads an ErrorResponse as a driver does. */
async function asDriver(bytes: Buffer): Promise<DatabaseError> {
  const { Readable } = await import('node:stream')
  let seen: unknown
  await parse(Readable.from([bytes]), (message) => {
    seen = message
  })
  assert.ok(seen instanceof DatabaseError)
  return seen
}

test('clients are told in the words of the design', async () => {
  const cases: [Buffer, string, string][] = [
    [noPrimary('nobody holds the leader key'), '57P03', 'no primary available: nobody'],
    [noServer('replica', 'none runs'), '57P03', 'no replica available: none runs'],
    [primaryChanged(), '57P01', 'terminating connection because the primary changed'],
    [serverLost('unknown'), '08006', 'server connection lost: the outcome'],
    [serverLost('none'), '08006', 'server connection lost: nothing'],
    [serverLost('rolled-back'), '08006', 'server connection lost: the open'],
    [tooMany('clients already'), '53300', 'too many clients already'],
    [protocolViolation('x'), '08P01', 'protocol violation: x'],
    [loginTimeout(), '57014', 'canceling login due to timeout'],
    [tlsRequired(), '28000', 'connection requires TLS'],
    [badTarget('x', ['any']), '22023', 'invalid value for parameter "pgsteer.target": "x"'],
    [routerStopping(), '57P01', 'terminating connection because the router'],
  ]
  for (const [bytes, sqlstate, text] of cases) {
    const error = await asDriver(bytes)
    assert.equal(error.severity, 'FATAL')
    assert.equal(error.code, sqlstate)
    assert.ok(error.message.startsWith(text), error.message)
  }
})

test('detail and hint arrive, NULs do not, texts are bounded', async () => {
  const long = 'x'.repeat(5000)
  const error = await asDriver(
    errorResponse('ERROR', '08006', `a\0b${long}`, { detail: 'why', hint: 'do' }),
  )
  assert.deepEqual([error.severity, error.detail, error.hint], ['ERROR', 'why', 'do'])
  assert.ok(error.message.startsWith('abxxx') && error.message.length < ERROR_TEXT_CHARS_MAX)
})

test('errors are read back, also when torn or empty', () => {
  const payload = fatalError('57P03', 'starting up').subarray(5)
  assert.deepEqual(readError(payload), {
    severity: 'FATAL',
    sqlstate: '57P03',
    message: 'starting up',
  })
  assert.deepEqual(readError(Buffer.alloc(0)), { severity: '', sqlstate: '', message: '' })
  assert.equal(readError(Buffer.from('SFEHLER\0C57P03\0\0')).severity, 'FEHLER')
  assert.equal(readError(Buffer.from('C57P0')).sqlstate, '57P0')
  for (let cut = 0; cut < payload.length; cut++) readError(payload.subarray(0, cut))
})
