/** Programs and drivers as people use them, through the port of a worker to a real PostgreSQL. */
import assert from 'node:assert/strict'
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import postgres from 'postgres'
import { startupPacket } from '../../../src/core/pgwire/messages.ts'
import { primaryAt } from '../../rig/fake-control.ts'
import { startPostgres } from '../../rig/postgres.ts'
import { connectRaw, loginRaw, query } from '../../rig/raw-peer.ts'
import { until } from '../../rig/wait.ts'
import { psql, runClient } from './psql.ts'
import { openWorld } from './world.ts'

const world = await openWorld()
const { rig, control, port } = world
after(() => world.end())
const HBA = [
  'host all trusted 127.0.0.1/32 trust',
  'host all all 127.0.0.1/32 scram-sha-256',
  'host replication all 127.0.0.1/32 scram-sha-256',
]
const server = await startPostgres(rig, { hba: HBA, settings: { wal_level: 'logical' } })
const url = `postgresql://postgres:postgres@127.0.0.1:${port}/postgres`
const libpq = `host=127.0.0.1 port=${port} user=postgres password=postgres dbname=postgres`

before(async () => {
  await server.query('CREATE ROLE trusted LOGIN SUPERUSER')
  await control.open(primaryAt(server.port))
})

test('psql: queries, errors, COPY both ways', async () => {
  assert.equal((await psql(rig, port, 'select 6*7')).out, '42')
  assert.match((await psql(rig, port, 'select 1/0')).err, /division by zero/)
  const copy = await runClient(rig, 'psql', [
    ...['-XAtq', '-d', libpq, '-c', 'create temp table t(a int, b text)'],
    ...['-c', `copy t from program 'seq 1 100000 | sed "s/$/\tx/"'`],
    ...['-c', '\\copy (select * from t) to /dev/null', '-c', 'select count(*), sum(a) from t'],
  ])
  assert.equal(copy.out, '100000|5000050000', copy.err)
})

test('wrong password, unknown user, unknown database: the words of the server', async () => {
  const wrong = await runClient(rig, 'psql', [
    '-Xd',
    libpq.replace('password=postgres', 'password=x'),
  ])
  assert.match(wrong.err, /password authentication failed for user "postgres"/)
  const end = await world.endOf(async () => {
    const none = await runClient(rig, 'psql', [
      '-Xd',
      libpq.replace('user=postgres', 'user=nobody'),
    ])
    assert.match(none.err, /password authentication failed/)
  })
  assert.ok(['client-closed', 'server-closed'].includes(end.reason), end.reason)
  const database = await psql(rig, port, 'select 1', 'user=trusted dbname=none')
  assert.match(database.err, /database "none" does not exist/)
})

test('pgbench: simple, extended and prepared, and a connection for each transaction', async () => {
  const init = await runClient(rig, 'pgbench', ['-i', '-q', '-s', '1', libpq])
  assert.equal(init.code, 0, init.err)
  for (const mode of ['simple', 'extended', 'prepared']) {
    const ran = await runClient(rig, 'pgbench', ['-n', '-M', mode, '-c', '4', '-t', '100', libpq])
    assert.match(ran.out, /processed: 400\/400\n/, ran.err)
  }
  const connects = await runClient(rig, 'pgbench', ['-n', '-C', '-S', '-c', '4', '-t', '25', libpq])
  assert.match(connects.out, /processed: 100\/100\n/, connects.err)
})

test('pgbench pipelines', async () => {
  const script = join(rig.dir, 'pipeline.sql')
  rig.keeper.writeFile(
    script,
    '\\startpipeline\nselect 1;\nselect 2;\nselect 3;\n\\endpipeline\n',
    null,
  )
  const args = ['-n', '-M', 'extended', '-f', script, '-c', '4', '-t', '100', libpq]
  const ran = await runClient(rig, 'pgbench', args)
  assert.match(ran.out, /processed: 400\/400\n/, ran.err)
})

const PYTHON = `
import psycopg2, psycopg2.extensions, sys, io, select
c = psycopg2.connect(sys.argv[1]); u = c.cursor()
u.execute('create temp table t(a int, b text)')
u.executemany('insert into t values (%s, %s)', [(i, 'x' * i) for i in range(100)])
u.execute('select sum(a), max(length(b)) from t'); assert u.fetchone() == (4950, 99)
u.copy_expert('copy t from stdin', io.StringIO(''.join('%d\\ty\\n' % i for i in range(50000))))
o = io.StringIO(); u.copy_expert('copy t to stdout', o); assert o.getvalue().count('\\n') == 50100
l = c.lobject(0, 'wb'); l.write(b'z' * 3000000); oid = l.oid; l.close()
l = c.lobject(oid, 'rb'); assert len(l.read()) == 3000000; l.unlink(); c.commit()
n = c.cursor('named'); n.itersize = 10
n.execute('select generate_series(1, 1000)'); assert sum(r[0] for r in n) == 500500; n.close(); c.commit()
c.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT)
u.execute('listen ch'); d = psycopg2.connect(sys.argv[1]); d.autocommit = True
d.cursor().execute("notify ch, 'hello'")
select.select([c], [], [], 5); c.poll(); assert c.notifies[0].payload == 'hello'
import threading
t = threading.Timer(0.3, c.cancel); t.start()
try: u.execute('select pg_sleep(20)'); raise SystemExit('not cancelled')
except psycopg2.extensions.QueryCanceledError: pass
print('ok')
`

test('psycopg2: parameters, COPY, large objects, cursors, NOTIFY, cancel', async () => {
  const ran = await runClient(rig, '/usr/bin/python3', ['-c', PYTHON, libpq])
  assert.equal(ran.out, 'ok', ran.err)
})

test('node-postgres: parameters, errors, NOTIFY, cancel', async () => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query('select $1::int + 1 as n, $2::bytea as b', [
    41,
    Buffer.alloc(1e6, 1),
  ])
  assert.equal(rows[0].n, 42)
  assert.equal(rows[0].b.length, 1e6)
  await assert.rejects(client.query('select nope'), { code: '42703' })
  const told = new Promise((resolve) =>
    client.once('notification', ({ payload }) => resolve(payload)),
  )
  await client.query('listen ch')
  await server.query("notify ch, 'here'")
  assert.equal(await told, 'here')
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, n) => client.query('select $1::int', [n])),
  )
  assert.deepEqual(
    answers.map(({ rows: [row] }) => row.int4),
    [...Array(200).keys()],
  )
  await client.end()
})

test('postgres.js: pipelined queries, a transaction, a big result', async () => {
  const sql = postgres(url, { max: 3 })
  const answers = await Promise.all(
    Array.from({ length: 300 }, (_, n) => sql`select ${n}::int as n`),
  )
  assert.deepEqual(
    answers.map(([row]) => row!['n']),
    [...Array(300).keys()],
  )
  const sum = await sql.begin(async (tx) => {
    await tx`create temp table t on commit drop as select generate_series(1, 20000) a`
    return tx`select sum(a)::int as s from t`
  })
  assert.equal(sum[0]!['s'], 200010000)
  const big = await sql`select repeat('x', 1000) as x from generate_series(1, 20000)`
  assert.equal(big.length, 20_000)
  await sql.end()
})

test('pg_basebackup and pg_receivewal', async () => {
  const dir = (name: string) => {
    const path = join(rig.dir, name)
    mkdirSync(path, { mode: 0o700 })
    if (rig.account !== null) chownSync(path, rig.account.uid, rig.account.gid)
    chmodSync(path, 0o700)
    return path
  }
  const copy = dir('copy')
  const backup = await runClient(rig, 'pg_basebackup', [
    ...['-D', copy, '-d', libpq, '-c', 'fast', '-X', 'stream', '--no-sync'],
  ])
  assert.equal(backup.code, 0, backup.err)
  assert.ok(existsSync(join(copy, 'global/pg_control')))
  const wal = dir('wal')
  const receiver = rig.start(
    join(rig.programs.postgresBin, 'pg_receivewal'),
    ['-D', wal, '-d', libpq, '--no-sync', '-s', '1'],
    { env: { PGPASSWORD: 'postgres' } },
  )
  const begun = async () => {
    await server.query("select pg_logical_emit_message(false, 'a', 'b')")
    return readdirSync(wal).length > 0
  }
  await until(begun, { limitMs: 10_000, what: 'first segment' })
  await server.query('create table w as select generate_series(1, 1000)')
  await server.query('select pg_switch_wal()')
  const whole = () => readdirSync(wal).some((name) => /^[0-9A-F]{24}$/.test(name))
  await until(whole, { limitMs: 15_000, what: 'whole segment' })
  await receiver.stop('SIGINT')
})

test('protocol 3.2 and unknown extensions: the server negotiates, the router does not interfere', async () => {
  const client = await connectRaw({ port })
  const parameters = [
    ['user', 'trusted'],
    ['database', 'postgres'],
    ['_pq_.nothing', 'x'],
  ] as const
  client.write(startupPacket(parameters, { major: 3, minor: 2 }))
  const first = await client.message()
  assert.equal(first.type, 'v') // NegotiateProtocolVersion
  assert.equal(first.payload.readInt32BE(0) & 0xffff, 0)
  const rest = await client.messagesUntil('Z')
  assert.ok(rest.some(({ type }) => type === 'K'))
  client.close()
})

test('pgsteer.target as an option is known to the server too, which does not mind', async () => {
  const { out } = await psql(rig, port, 'show pgsteer.target', "options='-c pgsteer.target=any'")
  assert.equal(out, 'any')
  const { err } = await psql(rig, port, 'select 1', "options='-c pgsteer.target=nowhere'")
  assert.match(err, /FATAL: {2}invalid value for parameter "pgsteer.target": "nowhere"/)
})

test('what the log says of a session: times, bytes, transaction state before', async () => {
  const client = await loginRaw(
    { port },
    { user: 'trusted', database: 'postgres', application_name: 'me' },
  )
  await client.messagesUntil('Z')
  client.write(query('begin'))
  await client.messagesUntil('Z')
  const [info] = (await control.clients()).filter(({ application }) => application === 'me')
  assert.equal(info!.transaction, 'in-transaction')
  assert.equal(info!.bytesOut, client.received)
  assert.equal(info!.bytesIn, query('begin').length)
  const end = await world.endOf(async () => client.socket.end('X\0\0\0\x04'))
  assert.equal(end.reason, 'client-closed')
  assert.equal(end.bytesIn, query('begin').length + 5)
  assert.equal(end.bytesOut, client.received)
  assert.ok(end.totalMs >= end.connectMs + end.waitMs)
  client.close()
})
