import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Config,
  checkConfig,
  type Env,
  listenerPolicies,
  workerSettings,
} from '../../../src/core/config/index.ts'

const nowhere = () => null

const LISTENER = { name: 'write', listen: '0.0.0.0:5000', target: 'primary' }

const good = (router: object = {}, rest: object = {}) => ({
  scope: 'demo',
  name: 'n1',
  etcd3: { hosts: ['127.0.0.1:2379'] },
  router: { listeners: [LISTENER], ...router },
  ...rest,
})

const listener = (more: object) => good({ listeners: [{ ...LISTENER, ...more }] })

function accept(source: unknown, env: Env = {}, purpose: 'run' | 'ctl' = 'run'): Config {
  const { config, problems } = checkConfig(source, nowhere, env, purpose)
  assert.deepEqual(
    problems.filter((it) => it.severity === 'error'),
    [],
  )
  assert.ok(config)
  return config
}

const errorsOf = (source: unknown, env: Env = {}) =>
  checkConfig(source, nowhere, env).problems.filter((it) => it.severity === 'error')

const warningsOf = (source: unknown, env: Env = {}) =>
  checkConfig(source, nowhere, env).problems.filter((it) => it.severity === 'warning')

test('defaults are those of the design', () => {
  const { router, ...config } = accept(good())
  assert.equal(config.prefix, '/service/demo/')
  assert.deepEqual(config.etcd.endpoints, ['127.0.0.1:2379'])
  assert.deepEqual(config.restapi?.listen, { host: '127.0.0.1', port: 8008 })
  assert.deepEqual(config.log, { level: 'info', format: 'auto' })
  assert.deepEqual(config.agent, { present: false })
  assert.equal(config.vip, null)
  assert.ok(router)
  assert.equal(router.workers, 'auto')
  assert.deepEqual(router.hold, { timeoutMs: 30_000, maxClients: 10_000 })
  assert.deepEqual(router.limits, {
    maxClients: 10_000,
    loginTimeoutMs: 15_000,
    connectTimeoutMs: 2000,
    connectWindow: 32,
  })
  assert.equal(router.clientTls, null)
  assert.equal(router.serverTls.mode, 'prefer')
  assert.equal(router.shutdownGraceMs, 5000)
  assert.equal(router.pool.queryWaitTimeoutMs, 120_000)
  assert.deepEqual(router.listeners[0]?.listen, [
    { kind: 'tcp', host: '0.0.0.0', port: 5000, ipv6Only: false },
  ])
})

test('the result is frozen through and through', () => {
  const config = accept(good())
  assert.throws(() => Object.assign(config.router!.listeners[0]!, { name: 'x' }), TypeError)
})

test('namespaces are written in many ways', () => {
  for (const namespace of ['service', '/service', '/service/', '//service//']) {
    assert.equal(accept(good({}, { namespace })).prefix, '/service/demo/')
  }
  assert.equal(accept(good({}, { namespace: '/' })).prefix, '/demo/')
})

/** Each: what is wrong, the document, the path that must be named, and a word of the message. */
const FAULTS: readonly [string, unknown, string, RegExp][] = [
  ['no map', [], '', /accepted: a map/],
  ['no scope', { ...good(), scope: null }, 'scope', /missing/],
  ['no name', { ...good(), name: undefined }, 'name', /missing/],
  ['slash in scope', { ...good(), scope: 'a/b' }, 'scope', /without slash/],
  ['boolean name', { ...good(), name: true }, 'name', /in quotes/],
  [
    'reserved name',
    { ...good(), name: '__patroni_strict_sync_replica_placeholder__' },
    'name',
    /keeps/,
  ],
  ['nothing to do', { ...good(), router: undefined }, '', /neither `router` nor `postgresql`/],
  ['no store', { ...good(), etcd3: undefined }, 'etcd3', /missing/],
  ['other store', { ...good(), consul: { host: 'x' } }, 'consul', /`etcd3`/],
  ['etcd v2', { ...good(), etcd: { host: 'x' } }, 'etcd', /version 2.*`etcd3`/],
  ['citus', { ...good(), citus: { group: 0 } }, 'citus', /Citus/],
  ['srv', { ...good(), etcd3: { srv: 'x' } }, 'etcd3.srv', /`hosts`/],
  [
    'URL as host',
    { ...good(), etcd3: { hosts: ['a:1', 'http://b:1'] } },
    'etcd3.hosts[1]',
    /scheme/,
  ],
  ['bad URL', { ...good(), etcd3: { url: 'ftp://x' } }, 'etcd3.url', /http:\/\/host/],
  ['lone cert', { ...good(), etcd3: { cert: '/c' } }, 'etcd3.cert', /both or neither/],
  [
    'half of an account',
    { ...good(), restapi: { authentication: { username: 'a' } } },
    'restapi.authentication',
    /both/,
  ],
  [
    'verify without CA',
    { ...good(), restapi: { verify_client: 'required' } },
    'restapi.verify_client',
    /cafile/,
  ],
  ['rest port', { ...good(), restapi: { listen: '1.2.3.4' } }, 'restapi.listen', /host:port/],
  ['router is text', { ...good(), router: 'x' }, 'router', /accepted: a map/],
  ['no listeners', good({ listeners: null }), 'router.listeners', /missing/],
  ['empty listeners', good({ listeners: [] }), 'router.listeners', /1 to 64/],
  ['listener is text', good({ listeners: ['x'] }), 'router.listeners[0]', /a map/],
  [
    'no target',
    listener({ target: null }),
    'router.listeners[0].target',
    /primary, replica, sync, any/,
  ],
  ['bad mode', listener({ mode: 'tcp' }), 'router.listeners[0].mode', /accepted: tunnel/],
  [
    'pooling',
    listener({ mode: 'transaction' }),
    'router.listeners[0].mode',
    /not in this version.*tunnel/,
  ],
  ['bad balance', listener({ balance: 'first' }), 'router.listeners[0].balance', /leastconn/],
  ['lag without unit', listener({ max_lag: '16M' }), 'router.listeners[0].max_lag', /kB, MB or GB/],
  ['bad listen', listener({ listen: '5000' }), 'router.listeners[0].listen', /host:port/],
  [
    'bad listen in list',
    listener({ listen: ['a:1', 'b:x'] }),
    'router.listeners[0].listen[1]',
    /host:port/,
  ],
  [
    'bad network',
    listener({ proxy_protocol: ['10.0.0.0/40'] }),
    'router.listeners[0].proxy_protocol[0]',
    /CIDR/,
  ],
  ['admin name', listener({ name: 'PgBouncer' }), 'router.listeners[0].name', /admin console/],
  [
    'same name',
    good({ listeners: [LISTENER, { ...LISTENER, listen: 'a:1' }] }),
    'router.listeners[1].name',
    /listeners\[0\]/,
  ],
  [
    'same address',
    good({ listeners: [LISTENER, { ...LISTENER, name: 'b', listen: '*:5000' }] }),
    'router.listeners[1].listen',
    /listeners\[0\]/,
  ],
  ['address of REST', listener({ listen: '*:8008' }), 'router.listeners[0].listen', /restapi/],
  [
    'address of PostgreSQL',
    { ...listener({ listen: '*:5432' }), postgresql: { listen: '127.0.0.1,::1:5432' } },
    'router.listeners[0].listen',
    /postgresql/,
  ],
  ['no workers', good({ workers: 0 }), 'router.workers', /auto/],
  ['seconds', good({ hold: { timeout: 30 } }), 'router.hold.timeout', /unit ms, s, m or h/],
  ['too long', good({ hold: { timeout: '2h' } }), 'router.hold.timeout', /to 1h/],
  ['hold as text', good({ hold: '30s' }), 'router.hold', /a map/],
  ['TLS without key', good({ client_tls: { cert: '/c' } }), 'router.client_tls.key', /missing/],
  [
    'TLS without CA',
    good({ client_tls: { cert: '/c', key: '/k', mode: 'verify-full' } }),
    'router.client_tls.mode',
    /`ca`/,
  ],
  ['server CA', good({ server_tls: { mode: 'verify-ca' } }), 'router.server_tls.mode', /`ca`/],
  ['server key', good({ server_tls: { key: '/k' } }), 'router.server_tls.key', /both or neither/],
  ['pool sizes', good({ pool: { min_size: 30 } }), 'router.pool.min_size', /at most `size`, 20/],
  ['hba without file', good({ pool: {}, auth: { type: 'hba' } }), 'router.auth.type', /hba_file/],
  ['relative run dir', good({ run_dir: 'run' }), 'router.run_dir', /absolute/],
  [
    'vip manager',
    { ...good(), vip: { manager: 'ucarp', address: '10.0.0.1/24' } },
    'vip.manager',
    /keepalived/,
  ],
]

for (const [name, source, path, words] of FAULTS) {
  test(`fault: ${name}`, () => {
    const errors = errorsOf(source)
    const fitting = errors.filter((it) => it.path === path && words.test(it.message))
    assert.equal(fitting.length, 1, JSON.stringify(errors))
    assert.equal(errors.length, 1, JSON.stringify(errors))
    assert.equal(checkConfig(source, nowhere, {}).config, null)
  })
}

test('all faults at once', () => {
  const source = good({ workers: 0, hold: { timeout: 1, max_clients: -1 } }, { scope: null })
  assert.deepEqual(
    errorsOf(source).map((it) => it.path),
    ['scope', 'router.workers', 'router.hold.timeout', 'router.hold.max_clients'],
  )
})

test('unknown keys are warnings with the nearest name', () => {
  const source = { ...good({ wrokers: 2 }), rooter: {}, x: 1 }
  const warnings = warningsOf(source)
  assert.deepEqual(
    warnings.map((it) => it.path),
    ['router.wrokers', 'rooter', 'x'],
  )
  assert.match(warnings[0]!.message, /did you mean `workers`/)
  assert.match(warnings[1]!.message, /did you mean `router`/)
  assert.match(warnings[2]!.message, /accepted here: scope/)
  accept(source)
})

test('values nobody reads yet, and rules Patroni repairs, are warnings', () => {
  const cases: [unknown, string][] = [
    [good({}, { postgresql: { use_slots: 'perhaps' } }), 'postgresql.use_slots'],
    [good({}, { bootstrap: { dcs: { ttl: 20 } } }), 'bootstrap.dcs.ttl'],
    [good({}, { restapi: { listen: '0.0.0.0:8008' } }), 'restapi.connect_address'],
    [listener({ fallback: 'primary' }), 'router.listeners[0].fallback'],
    [listener({ max_lag: '1MB' }), 'router.listeners[0].max_lag'],
  ]
  for (const [source, path] of cases) {
    accept(source)
    assert.deepEqual(
      warningsOf(source).map((it) => it.path),
      [path],
    )
  }
})

test('places come from the text, from around it when the path is missing', () => {
  const where = (path: (string | number)[]) => ({ line: path.length + 1, column: 2 })
  const { problems } = checkConfig(good({ workers: 0 }), where, {})
  assert.deepEqual([problems[0]?.line, problems[0]?.column], [3, 2])
  const shallow = (path: (string | number)[]) => (path.length > 1 ? null : { line: 7, column: 1 })
  const { problems: outer } = checkConfig(good({ workers: 0 }), shallow, {})
  assert.equal(outer[0]?.line, 7)
})

test('the environment wins, and is named when it is wrong', () => {
  const env = {
    PATRONI_SCOPE: 'other',
    PATRONI_NAME: 'n9',
    PATRONI_ETCD3_HOSTS: "'e1:2379','e2'",
    PATRONI_RESTAPI_USERNAME: 'u',
    PATRONI_RESTAPI_PASSWORD: '{"not": json}',
    PATRONI_RESTAPI_HTTP_EXTRA_HEADERS: "'X-A': 'b', X-C: d:e",
    PATRONI_RESTAPI_ALLOWLIST: '[10.0.0.1, 10.0.0.2]',
    PATRONI_CTL_INSECURE: 'on',
    PATRONI_LOG_LEVEL: 'warning',
    PGSTEER_ROUTER_WORKERS: '2',
    PGSTEER_ROUTER_HOLD_TIMEOUT: '5s',
    PGSTEER_ROUTER_LISTENERS: '[{"name": "w", "listen": "[::1]:5000", "target": "any"}]',
    PATRONI_NAMESPACE: '',
  }
  const config = accept(good({ workers: 1, hold: { max_clients: 7 } }), env)
  assert.equal(config.prefix, '/service/other/')
  assert.equal(config.name, 'n9')
  assert.deepEqual(config.etcd.endpoints, ['e1:2379', 'e2:2379'])
  assert.equal(config.restapi?.username, 'u')
  assert.equal(config.restapi?.password, '{"not": json}')
  assert.deepEqual(config.restapi?.extraHeaders, { 'X-A': 'b', 'X-C': 'd:e' })
  assert.deepEqual(config.restapi?.allowlist, ['10.0.0.1', '10.0.0.2'])
  assert.equal(config.log.level, 'warn')
  assert.equal(config.router?.workers, 2)
  assert.deepEqual(config.router?.hold, { timeoutMs: 5000, maxClients: 7 })
  assert.equal(config.router?.listeners[0]?.target, 'any')
  const [error] = errorsOf(good(), { PGSTEER_ROUTER_WORKERS: 'many' })
  assert.equal(error?.path, 'router.workers')
  assert.equal(error?.line, null)
  assert.match(error!.message, /set by PGSTEER_ROUTER_WORKERS/)
  assert.equal(errorsOf(good(), { PATRONI_ETCD_HOSTS: 'a:1' })[0]?.path, 'etcd')
  const [warning] = warningsOf(good(), { PGSTEER_ROUTER_WROKERS: '1' })
  assert.match(warning!.message, /did you mean PGSTEER_ROUTER_WORKERS/)
})

test('the environment alone can be a configuration', () => {
  const env = {
    PATRONI_SCOPE: 'demo',
    PATRONI_NAME: 'n1',
    PATRONI_ETCD3_URL: 'https://u:p%40@etcd.example:2380',
    PGSTEER_ROUTER_LISTENERS: JSON.stringify([LISTENER]),
  }
  const { etcd } = accept(null, env)
  assert.deepEqual(
    [etcd.protocol, etcd.endpoints, etcd.username, etcd.password],
    ['https', ['etcd.example:2380'], 'u', 'p@'],
  )
})

test('commands need neither name nor router', () => {
  const source = { scope: 'demo', etcd3: { host: 'e' }, ctl: { insecure: true } }
  const config = accept(source, {}, 'ctl')
  assert.deepEqual([config.name, config.router, config.restapi], ['', null, null])
  assert.equal(config.peers.insecure, true)
})

test('peers are called by ctl, else by restapi', () => {
  const restapi = { certfile: '/r.crt', keyfile: '/r.key', cafile: '/ca' }
  const { peers } = accept(good({}, { restapi }))
  assert.deepEqual(
    [peers.certFile, peers.keyFile, peers.caFile, peers.insecure],
    ['/r.crt', '/r.key', '/ca', false],
  )
  const own = accept(good({}, { restapi, ctl: { certfile: '/c.crt', cacert: '/cca' } })).peers
  assert.deepEqual([own.certFile, own.keyFile, own.caFile], ['/c.crt', null, '/cca'])
  assert.equal(accept(good()).peers.insecure, true)
})

test('slices carry PEM texts and policies', () => {
  const source = good({
    client_tls: { mode: 'verify-ca', cert: '/c', key: '/k', ca: '/a' },
    listeners: [
      { ...LISTENER, listen: '/run/x:5000, *:5001' },
      { name: 'read', listen: 'a,b:1', target: 'replica', fallback: 'primary', max_lag: '16MB' },
    ],
  })
  const config = accept(source)
  const files = new Map([
    ['/c', 'CERT'],
    ['/k', 'KEY'],
    ['/a', 'CA'],
  ])
  const settings = workerSettings(config, files)
  assert.deepEqual(settings.clientTls, { mode: 'verify-ca', cert: 'CERT', key: 'KEY', ca: 'CA' })
  assert.deepEqual(settings.serverTls, { mode: 'prefer', ca: null, cert: null, key: null })
  assert.equal(settings.listeners[0]?.addresses.length, 3)
  assert.deepEqual(
    settings.listeners[1]?.addresses.map((it) => it.kind === 'tcp' && `${it.host}:${it.port}`),
    ['a:1', 'b:1'],
  )
  assert.deepEqual(listenerPolicies(config)[1], {
    name: 'read',
    target: 'replica',
    fallback: 'primary',
    balance: 'leastconn',
    maxLagBytes: 16 * 1024 ** 2,
  })
  assert.throws(() => workerSettings(config, new Map()), /was not read/)
})
