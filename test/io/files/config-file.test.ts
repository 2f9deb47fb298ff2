import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { loadConfig } from '../../../src/io/files/config-file.ts'

const HEAD = 'scope: demo\nname: n1\netcd3: {hosts: [127.0.0.1:2379]}\n'
const ROUTER = 'router:\n  listeners:\n    - {name: w, listen: "*:5000", target: primary}\n'

/** The sample of the design, every listener in the one mode there is. */
const DESIGN = `scope: demo
name: n1
namespace: /service/
etcd3: {hosts: [127.0.0.1:2379]}
restapi: {listen: 127.0.0.1:8008, connect_address: 127.0.0.1:8008}
bootstrap: {dcs: {ttl: 10, loop_wait: 2, retry_timeout: 3}, initdb: [{encoding: UTF8}, data-checksums]}
postgresql: {listen: 127.0.0.1:5432, connect_address: 127.0.0.1:5432, data_dir: /var/lib/pgsteer/n1, authentication: {}}
router:
  workers: auto
  listeners:
    - {name: write,  listen: "0.0.0.0:5000", target: primary, mode: tunnel}
    - {name: read,   listen: "0.0.0.0:5001", target: replica, mode: tunnel, fallback: primary, balance: leastconn, max_lag: 16MB}
    - {name: pooled, listen: "0.0.0.0:6432", target: primary, mode: tunnel}
  hold: {timeout: 30s, max_clients: 10000}
  limits: {max_clients: 10000, login_timeout: 15s}
  pool: {size: 20, min_size: 0, reserve_size: 0, reserve_timeout: 5s, query_wait_timeout: 120s, idle_timeout: 10m, lifetime: 1h, max_prepared_statements: 200}
  auth: {type: scram-sha-256, file: userlist.txt, query: "SELECT 1", user: pgsteer_auth, hba_file: hba.conf}
  server_tls: {mode: prefer}
  admin: {users: [pgsteer_admin]}
vip: {manager: keepalived, address: 10.0.0.100/24, interface: eth0, router_id: 51, rank: 0, profile: default, peers: [10.0.0.2, 10.0.0.3]}
`

let dir = ''
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgsteer-config-'))
})
after(() => rmSync(dir, { recursive: true, force: true }))

function write(name: string, text: string): string {
  const path = join(dir, name)
  writeFileSync(path, text)
  return path
}

const load = (text: string, env = {}) => loadConfig(write('node.yml', text), env)
const brief = (text: string) =>
  load(text).problems.map((it) => `${it.line}:${it.column} ${it.severity} ${it.path}`)

test("the design's sample passes", () => {
  const { config, problems } = load(DESIGN)
  assert.deepEqual(problems, [])
  assert.equal(config?.agent.present, true)
  assert.equal(config?.router?.listeners.length, 3)
  assert.equal(config?.vip?.['router_id'], 51)
})

test('the shipped samples pass', () => {
  for (const name of ['pgsteer.yml', 'patroni-node.yml']) {
    const path = fileURLToPath(new URL(`../../../config/${name}`, import.meta.url))
    const { config, problems } = loadConfig(path, {})
    assert.deepEqual(problems, [], name)
    assert.equal(config?.router?.listeners.length, 2)
  }
})

test('the commented lines of the generated sample are right too', () => {
  const path = new URL('../../../config/pgsteer.yml', import.meta.url)
  const live = readFileSync(path, 'utf8')
    .replaceAll(/^( *)# ([a-z_]+:( \S.*)?)$/gm, '$1$2')
    .replaceAll(/^.*\/etc\/pgsteer\/tls.*$/gm, '')
    .replace('client_tls:\n', 'no_tls:\n')
    .replace(/^ *username:.*$/gm, '')
  assert.deepEqual(
    load(live).problems.map((it) => it.path),
    ['router.no_tls'],
  )
})

test('a stock patroni.yml with every key passes', () => {
  const path = fileURLToPath(new URL('stock-patroni.yml', import.meta.url))
  const { config, problems } = loadConfig(path, {})
  assert.deepEqual(problems, [])
  assert.deepEqual(config?.etcd.endpoints, ['10.0.0.1:2379', 'etcd2:2379', '[fd00::3]:2379'])
  assert.equal(config?.etcd.password, '12345')
  assert.equal(config?.restapi?.allowlistIncludeMembers, true)
  assert.deepEqual([config?.router, config?.log.format], [null, 'pretty'])
})

test('problems carry their line', () => {
  assert.deepEqual(
    brief(`${HEAD}router:\n  wrokers: 1\n  hold:\n    timeout: 5\n  listeners: []\n`),
    ['5:3 warning router.wrokers', '7:5 error router.hold.timeout', '8:3 error router.listeners'],
  )
  const bad = `${HEAD}router:\n  listeners:\n  - name: a\n    listen:\n    - "*:1"\n    - oops\n`
  assert.deepEqual(brief(bad), [
    '6:5 error router.listeners[0].target',
    '9:7 error router.listeners[0].listen[1]',
  ])
})

test('syntax errors and duplicate keys carry theirs', () => {
  assert.deepEqual(brief(`${HEAD}router: {workers: 1\n`), ['5:1 error '])
  assert.match(load(`${HEAD}${ROUTER}scope: x\n`).problems[0]!.message, /`scope` twice/)
  assert.deepEqual(brief(`${HEAD}${ROUTER}scope: x\n`), ['7:1 error '])
  const alias = load(`${HEAD}restapi:\n  listen: *:8008\n`)
  assert.equal(alias.config, null)
  assert.equal(alias.problems[0]?.line, 5)
  assert.match(load(`${HEAD}x: *nope\n`).problems[0]!.message, /quotes around text/)
})

test('syntax errors do not repeat the text', () => {
  const texts = [
    'password: @hunter2\n',
    'password: "hunter2\\q"\n',
    'a: b\nhunter2\n',
    'a: !!int hunter2\n',
  ]
  for (const text of [...texts, 'a: {b: c} hunter2\n', 'a: [hunter2\n', '- a\nhunter2: b\n']) {
    const { problems } = load(text)
    assert.ok(problems.length > 0)
    assert.ok(!JSON.stringify(problems).includes('hunter2'), JSON.stringify(problems))
  }
})

test('an alias bomb is refused', () => {
  const rows = Array.from(
    { length: 12 },
    (_, i) => `a${i}: &a${i} [${`*a${i - 1},`.repeat(i && 9)}1]`,
  )
  assert.match(load(rows.join('\n')).problems[0]!.message, /too many aliases/)
})

test('what is not a readable file is a problem', () => {
  assert.match(loadConfig(join(dir, 'nope.yml'), {}).problems[0]!.message, /no such file/)
  mkdirSync(join(dir, 'empty'))
  assert.match(loadConfig(join(dir, 'empty'), {}).problems[0]!.message, /without \*\.yml/)
})

test('a directory is merged in alphabetical order', () => {
  const parts = join(dir, 'parts')
  mkdirSync(parts)
  writeFileSync(join(parts, '10-base.yml'), `${HEAD}${ROUTER}log: {level: DEBUG}\n`)
  writeFileSync(join(parts, '20-more.yaml'), 'name: n2\nlog: null\nrouter:\n  workers: 0\n')
  writeFileSync(join(parts, 'readme.txt'), 'name: n3\n')
  const { problems } = loadConfig(parts, {})
  assert.deepEqual(
    problems.map((it) => [it.file, it.line, it.path]),
    [['20-more.yaml', 4, 'router.workers']],
  )
  const { config } = loadConfig(parts, { PGSTEER_ROUTER_WORKERS: '3' })
  assert.deepEqual([config?.name, config?.log.level, config?.router?.workers], ['n2', 'info', 3])
})

test('PATRONI_CONFIGURATION stands in for a file', () => {
  const { config } = loadConfig('', { PATRONI_CONFIGURATION: HEAD + ROUTER })
  assert.equal(config?.scope, 'demo')
})

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
}

function makeCertificates(): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=x']
  openssl('req', '-x509', ...key, '-days', '30', '-keyout', 'good.key', '-out', 'good.crt')
  openssl('req', '-x509', ...key, '-days', '30', '-keyout', 'other.key', '-out', 'other.crt')
  openssl('req', '-new', '-key', 'good.key', '-subj', '/CN=x', '-out', 'good.csr')
  openssl(
    'x509',
    '-req',
    '-in',
    'good.csr',
    '-signkey',
    'good.key',
    '-days',
    '-1',
    '-out',
    'old.crt',
  )
  openssl('pkcs8', '-topk8', '-in', 'good.key', '-passout', 'pass:open', '-out', 'locked.key')
  write(
    'both.pem',
    readFileSync(join(dir, 'good.crt'), 'utf8') + readFileSync(join(dir, 'good.key'), 'utf8'),
  )
  write('noise.pem', 'not PEM at all\n')
  write('broken.crt', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
}

test('certificate files are read and checked', () => {
  makeCertificates()
  const tls = (cert: string, key: string, ca = 'good.crt') =>
    load(
      `${HEAD}${ROUTER}  client_tls:\n    cert: ${dir}/${cert}\n    key: ${dir}/${key}\n    ca: ${dir}/${ca}\n`,
    )
  const cases: [string, string, string, [number, string, RegExp][]][] = [
    ['good.crt', 'good.key', 'good.crt', []],
    ['none.crt', 'good.key', 'good.crt', [[8, 'error', /does not exist/]]],
    ['noise.pem', 'good.key', 'good.crt', [[8, 'error', /no certificate/]]],
    ['broken.crt', 'good.key', 'good.crt', [[8, 'error', /broken certificate/]]],
    ['good.crt', 'other.key', 'good.crt', [[9, 'error', /not the key of/]]],
    ['good.crt', 'good.crt', 'good.crt', [[9, 'error', /no private key/]]],
    ['good.crt', 'locked.key', 'good.crt', [[9, 'error', /passphrase/]]],
    [
      'old.crt',
      'good.key',
      'old.crt',
      [
        [8, 'warning', /expired/],
        [10, 'warning', /expired/],
      ],
    ],
    ['good.crt', 'good.key', '.', [[10, 'error', /a PEM file/]]],
  ]
  for (const [cert, key, ca, expected] of cases) {
    const { config, problems, files } = tls(cert, key, ca)
    assert.equal(problems.length, expected.length, JSON.stringify(problems))
    expected.forEach(([line, severity, words], i) => {
      assert.deepEqual([problems[i]?.line, problems[i]?.severity], [line, severity])
      assert.match(problems[i]!.message, words)
    })
    assert.equal(
      config === null,
      problems.some((it) => it.severity === 'error'),
    )
    if (config !== null) assert.match(files.get(`${dir}/${key}`) ?? '', /PRIVATE KEY/)
  }
})

test('REST certificates may hold their key, keys may have a passphrase', () => {
  const rest = (lines: string) => load(`${HEAD}${ROUTER}restapi:\n${lines}`).problems
  const at = (key: string, file: string) => `  ${key}: ${dir}/${file}\n`
  assert.deepEqual(rest(at('certfile', 'both.pem')), [])
  assert.match(rest(at('certfile', 'good.crt'))[0]!.message, /no private key/)
  const locked = at('certfile', 'good.crt') + at('keyfile', 'locked.key')
  assert.deepEqual(rest(`${locked}  keyfile_password: open\n`), [])
  const [wrong] = rest(`${locked}  keyfile_password: hunter2\n`)
  assert.match(wrong!.message, /passphrase does not open/)
  assert.ok(!wrong!.message.includes('hunter2'))
})
