/** The rows of `router:`. */
import {
  choice,
  duration,
  integer,
  LIST,
  own,
  pem,
  SECTION,
  type Setting,
  size,
  TEXT,
} from '../setting.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const CLIENTS_MAX = 1_000_000

/** Names of the admin console's database: a listener may not look like it. */
export const RESERVED_LISTENER_NAMES = ['pgsteer', 'pgbouncer']
export const LISTENER_MODES = ['tunnel', 'session', 'transaction', 'statement']
export const LISTENERS_MAX = 64

const LISTENER: readonly Setting[] = [
  own(
    'router.listeners',
    { kind: 'sections', max: LISTENERS_MAX },
    'The ports the router opens, at least one.',
    { required: 'always' },
  ),
  own(
    'router.listeners[].name',
    {
      kind: 'text',
      pattern: /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/,
      words: 'a name of up to 63 letters, digits, `_`, `.` and `-`',
    },
    'What logs, metrics and `pgsteer routes` call it.',
    { required: 'always', sample: 'write' },
  ),
  own(
    'router.listeners[].listen',
    { kind: 'listen' },
    'Addresses to bind, as text, comma list or YAML list. `*:5000` binds both families, ' +
      '`/run/pgsteer:5000` the unix socket `/run/pgsteer/.s.PGSQL.5000`.',
    { required: 'always', sample: '"*:5000"' },
  ),
  own(
    'router.listeners[].target',
    choice('primary', 'replica', 'sync', 'any'),
    'Which members serve it; `sync` means synchronous replicas.',
    { required: 'always', sample: 'primary' },
  ),
  own(
    'router.listeners[].mode',
    { kind: 'choice', of: LISTENER_MODES, words: 'tunnel' },
    'How bytes are carried. `tunnel` passes them through; the pooling modes are not in this version.',
    { fallback: 'tunnel' },
  ),
  own(
    'router.listeners[].fallback',
    choice('primary', 'none'),
    'Where clients go while no replica qualifies; `none` holds them.',
    { fallback: 'none' },
  ),
  own(
    'router.listeners[].balance',
    choice('leastconn', 'roundrobin', 'random'),
    'How one of several backends is chosen.',
    { fallback: 'leastconn' },
  ),
  own(
    'router.listeners[].max_lag',
    size(0, 2 ** 40),
    'A replica further behind than this gets no new client; without it lag is not looked at.',
    { sample: '16MB' },
  ),
  own(
    'router.listeners[].proxy_protocol',
    { kind: 'networks' },
    'Trusted senders (addresses, CIDR blocks, `unix`) whose connections must begin with a PROXY ' +
      'protocol header.',
    { sample: '[10.0.0.0/24]' },
  ),
]

const HOLD_AND_LIMITS: readonly Setting[] = [
  own('router.hold', SECTION, 'How long and how many clients may wait for a backend.'),
  own(
    'router.hold.timeout',
    duration(0, HOUR),
    "How long a client may wait. When a whole node dies, nobody leads until the cluster's `ttl` has " +
      'passed (30s unless configured) and a moment longer: only a timeout above that outlasts it.',
    { fallback: '30s' },
  ),
  own('router.hold.max_clients', integer(0, CLIENTS_MAX), 'How many clients may wait.', {
    fallback: 10000,
  }),
  own('router.limits', SECTION, 'Limits of the router as a whole.'),
  own('router.limits.max_clients', integer(1, CLIENTS_MAX), 'Clients connected at the same time.', {
    fallback: 10000,
  }),
  own(
    'router.limits.login_timeout',
    duration(100, HOUR),
    'How long a client may take to send its startup packet.',
    { fallback: '15s' },
  ),
  own(
    'router.limits.connect_timeout',
    duration(50, HOUR),
    'How long one connection attempt to a backend may take.',
    { fallback: '2s' },
  ),
  own(
    'router.limits.connect_window',
    integer(1, 10000),
    'Connection attempts to one backend at the same time while clients wait in line.',
    { fallback: 32 },
  ),
  own('router.keepalive', SECTION, 'TCP keepalive on both sides.'),
  own('router.keepalive.idle', duration(1000, DAY), 'Silence before the first probe.', {
    fallback: '30s',
  }),
]

const TLS: readonly Setting[] = [
  own(
    'router.client_tls',
    SECTION,
    'Ends TLS of clients at the router. Without this section TLS passes through untouched.',
  ),
  own(
    'router.client_tls.mode',
    choice('allow', 'prefer', 'require', 'verify-ca', 'verify-full'),
    '`allow` and `prefer` take TLS and plain, `require` TLS only, `verify-*` a client certificate.',
    { fallback: 'prefer' },
  ),
  own('router.client_tls.cert', pem('certificate'), "The router's certificate, chain included.", {
    required: 'always',
    sample: '/etc/pgsteer/tls/router.crt',
  }),
  own('router.client_tls.key', pem('key'), 'Its private key, without passphrase.', {
    required: 'always',
    sample: '/etc/pgsteer/tls/router.key',
  }),
  own('router.client_tls.ca', pem('authorities'), 'Who may sign client certificates.', {
    sample: '/etc/pgsteer/tls/clients-ca.crt',
  }),
  own(
    'router.server_tls',
    SECTION,
    'TLS towards PostgreSQL when the client side ends here or is plain.',
  ),
  own(
    'router.server_tls.mode',
    choice('disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'),
    'As sslmode in libpq.',
    { fallback: 'prefer' },
  ),
  own('router.server_tls.ca', pem('authorities'), 'Who may sign server certificates.', {
    sample: '/etc/pgsteer/tls/servers-ca.crt',
  }),
  own('router.server_tls.cert', pem('certificate'), 'Certificate shown to PostgreSQL.', {
    sample: '/etc/pgsteer/tls/to-server.crt',
  }),
  own('router.server_tls.key', pem('key'), 'Its private key, without passphrase.', {
    sample: '/etc/pgsteer/tls/to-server.key',
  }),
]

const POOLING: readonly Setting[] = [
  own('router.pool', SECTION, 'Sizes and times of pools; for the pooling modes.'),
  own('router.pool.size', integer(1, 100_000), 'Server connections per database and user.', {
    fallback: 20,
  }),
  own('router.pool.min_size', integer(0, 100_000), 'Server connections kept open.', {
    fallback: 0,
  }),
  own('router.pool.reserve_size', integer(0, 100_000), 'Extra connections when clients wait.', {
    fallback: 0,
  }),
  own('router.pool.reserve_timeout', duration(0, HOUR), 'Wait before the reserve is used.', {
    fallback: '5s',
  }),
  own(
    'router.pool.query_wait_timeout',
    duration(0, DAY),
    'How long a query may wait for a server connection; 0: for ever.',
    { fallback: '120s' },
  ),
  own(
    'router.pool.idle_timeout',
    duration(0, DAY),
    'Idle server connections are closed; 0: never.',
    {
      fallback: '10m',
    },
  ),
  own('router.pool.lifetime', duration(0, 30 * DAY), 'Oldest a server connection may get.', {
    fallback: '1h',
  }),
  own(
    'router.pool.max_prepared_statements',
    integer(0, 100_000),
    'Prepared statements tracked per server connection.',
    { fallback: 200 },
  ),
  own('router.auth', SECTION, 'How clients prove who they are; for the pooling modes.'),
  own(
    'router.auth.type',
    choice('scram-sha-256', 'md5', 'plain', 'cert', 'hba', 'trust', 'any'),
    'As auth_type in PgBouncer.',
    { fallback: 'scram-sha-256' },
  ),
  own('router.auth.file', TEXT, 'File with user names and secrets.', {
    sample: '/etc/pgsteer/userlist.txt',
  }),
  own('router.auth.query', TEXT, 'Query that returns name and secret of user $1.', {
    sample: '"SELECT usename, passwd FROM pg_shadow WHERE usename = $1"',
  }),
  own('router.auth.user', TEXT, 'User that runs the query.', { sample: 'pgsteer_auth' }),
  own('router.auth.hba_file', TEXT, 'Rules in the format of pg_hba.conf, for type `hba`.', {
    sample: '/etc/pgsteer/pg_hba.conf',
  }),
  own('router.admin', SECTION, 'The admin console (database `pgsteer`); for the pooling modes.'),
  own('router.admin.users', LIST, 'Who may use it.', { sample: '[pgsteer_admin]' }),
]

export const ROUTER_SETTINGS: readonly Setting[] = [
  own('router', SECTION, 'The router. Without this section: an agent-only node.'),
  own(
    'router.workers',
    { kind: 'integer', min: 1, max: 64, or: 'auto' },
    'Worker processes; `auto` is one per core, at least 1.',
    { fallback: 'auto' },
  ),
  own(
    'router.run_dir',
    { kind: 'text', pattern: /^\/./, words: 'an absolute path' },
    'Directory of the control socket; by default below `/run/pgsteer`, else the temporary directory.',
    { sample: '/run/pgsteer/demo-n1' },
  ),
  own(
    'router.shutdown_grace',
    duration(0, HOUR),
    'How long sessions may go on after SIGTERM before they are cut.',
    { fallback: '5s' },
  ),
  ...LISTENER,
  ...HOLD_AND_LIMITS,
  ...TLS,
  ...POOLING,
]
