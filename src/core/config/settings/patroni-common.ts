/** Patroni's sections that this version reads: who we are, the store, REST, ctl, log. */
import {
  ANY,
  choice,
  integer,
  LIST,
  MAP,
  OPEN_SECTION,
  patroni,
  patroniKeys,
  pem,
  SECTION,
  type Setting,
  SWITCH,
  TEXT,
  withVariables,
} from '../setting.ts'

const SLASHLESS = {
  kind: 'text',
  pattern: /^[^/\s]+$/,
  words: 'text without slash or space',
} as const

const TOP: readonly Setting[] = [
  patroni('scope', SLASHLESS, 'Name of the cluster.', {
    required: 'always',
    env: 'PATRONI_SCOPE',
    sample: 'demo',
  }),
  patroni('name', SLASHLESS, 'Name of this node, unique in the cluster.', {
    required: 'run',
    env: 'PATRONI_NAME',
    sample: 'router1',
  }),
  patroni('namespace', TEXT, 'Path in etcd below which the cluster lies.', {
    fallback: '/service/',
    env: 'PATRONI_NAMESPACE',
  }),
  patroni('thread_pool_size', ANY, 'Read by Patroni only.', {
    lenient: true,
    env: 'PATRONI_THREAD_POOL_SIZE',
  }),
  patroni('thread_stack_size', ANY, 'Read by Patroni only.', {
    lenient: true,
    env: 'PATRONI_THREAD_STACK_SIZE',
  }),
]

const ETCD: readonly Setting[] = [
  patroni('etcd3', SECTION, 'The store: etcd 3.4 or newer, spoken to by its own protocol.'),
  ...withVariables('PATRONI_ETCD3_', [
    patroni('etcd3.host', { kind: 'endpoints' }, 'One endpoint.', { sample: '127.0.0.1:2379' }),
    patroni('etcd3.hosts', { kind: 'endpoints' }, 'Endpoints, as YAML list or comma text.', {
      sample: '[10.0.0.11:2379, 10.0.0.12:2379, 10.0.0.13:2379]',
    }),
    patroni('etcd3.url', TEXT, 'One endpoint as `http://host:port`.', { secret: true }),
    patroni('etcd3.proxy', TEXT, 'An etcd proxy as `http://host:port`.', { secret: true }),
    patroni('etcd3.srv', TEXT, 'DNS discovery; not in this version.'),
    patroni('etcd3.srv_suffix', TEXT, 'DNS discovery; not in this version.'),
    patroni('etcd3.use_proxies', SWITCH, 'Use the endpoints as given; always so here.'),
    patroni('etcd3.protocol', choice('http', 'https'), 'How the endpoints are spoken to.', {
      fallback: 'http',
    }),
    patroni('etcd3.username', TEXT, 'User of etcd.', { sample: 'pgsteer' }),
    patroni('etcd3.password', TEXT, 'Its password.', { secret: true }),
    patroni('etcd3.cacert', pem('authorities'), 'Who may sign certificates of etcd.', {
      sample: '/etc/pgsteer/tls/etcd-ca.crt',
    }),
    patroni('etcd3.cert', pem('certificate'), 'Certificate shown to etcd.', {
      sample: '/etc/pgsteer/tls/etcd-client.crt',
    }),
    patroni('etcd3.key', pem('key'), 'Its private key.', {
      sample: '/etc/pgsteer/tls/etcd-client.key',
    }),
  ]),
]

const REST: readonly Setting[] = [
  patroni('restapi', SECTION, 'The REST API of this node.'),
  ...withVariables('PATRONI_RESTAPI_', [
    patroni('restapi.listen', { kind: 'host-port' }, 'Address to bind; `*` is both families.', {
      fallback: '127.0.0.1:8008',
    }),
    patroni('restapi.connect_address', { kind: 'host-port' }, 'How others reach it.', {
      sample: '10.0.0.21:8008',
    }),
    patroni('restapi.certfile', pem('certificate'), 'Certificate; turns HTTPS on.', {
      sample: '/etc/pgsteer/tls/rest.crt',
    }),
    patroni('restapi.keyfile', pem('key'), 'Private key, if not in `certfile`.', {
      sample: '/etc/pgsteer/tls/rest.key',
    }),
    patroni('restapi.keyfile_password', TEXT, 'Passphrase of the key.', { secret: true }),
    patroni('restapi.cafile', pem('authorities'), 'Who may sign client certificates.', {
      sample: '/etc/pgsteer/tls/rest-ca.crt',
    }),
    patroni('restapi.ciphers', TEXT, 'Accepted ciphers, in the notation of OpenSSL.'),
    patroni(
      'restapi.verify_client',
      choice('none', 'optional', 'required'),
      '`optional`: changes need a client certificate; `required`: every request does.',
      { fallback: 'none' },
    ),
    patroni('restapi.allowlist', LIST, 'Addresses that may change things.'),
    patroni('restapi.allowlist_include_members', SWITCH, 'Members of the cluster may, too.', {
      fallback: false,
    }),
    patroni('restapi.http_extra_headers', MAP, 'Headers of every answer.'),
    patroni('restapi.https_extra_headers', MAP, 'Headers of every answer over TLS.'),
    ...patroniKeys(
      'restapi',
      {
        request_queue_size: integer(0, 65535),
        server_tokens: {
          kind: 'choice',
          of: ['original', 'minimal', 'productonly'],
          anyCase: true,
        },
      },
      { lenient: true },
    ),
  ]),
  patroni('restapi.thread_pool_size', ANY, 'Read by Patroni only.', { lenient: true }),
  patroni('restapi.authentication', SECTION, 'HTTP Basic for requests that change things.'),
  ...withVariables('PATRONI_RESTAPI_', [
    patroni('restapi.authentication.username', TEXT, 'User name.', { sample: 'admin' }),
    patroni('restapi.authentication.password', TEXT, 'Password.', { secret: true }),
  ]),
]

const CTL: readonly Setting[] = [
  patroni('ctl', SECTION, "How to call other members' REST API; `restapi` where left out."),
  ...withVariables('PATRONI_CTL_', [
    patroni('ctl.insecure', SWITCH, 'Do not check certificates of members.', { fallback: false }),
    patroni('ctl.cacert', pem('authorities'), 'Who may sign certificates of members.', {
      sample: '/etc/pgsteer/tls/rest-ca.crt',
    }),
    patroni('ctl.certfile', pem('certificate'), 'Certificate shown to members.', {
      sample: '/etc/pgsteer/tls/ctl.crt',
    }),
    patroni('ctl.keyfile', pem('key'), 'Its private key.', {
      sample: '/etc/pgsteer/tls/ctl.key',
    }),
    patroni('ctl.keyfile_password', TEXT, 'Passphrase of the key.', { secret: true }),
  ]),
  patroni('ctl.authentication', SECTION, 'HTTP Basic towards members.'),
  ...withVariables('PATRONI_CTL_', [
    patroni('ctl.authentication.username', TEXT, 'User name.', { sample: 'admin' }),
    patroni('ctl.authentication.password', TEXT, 'Password.', { secret: true }),
  ]),
]

/** Python's names, and the ones this daemon has beyond them. */
export const LOG_LEVELS = [
  'TRACE',
  'NOTSET',
  'DEBUG',
  'INFO',
  'WARN',
  'WARNING',
  'ERROR',
  'FATAL',
  'CRITICAL',
] as const

const LOG: readonly Setting[] = [
  patroni('log', SECTION, 'What the daemon says, and how.', { lenient: true }),
  ...withVariables('PATRONI_LOG_', [
    patroni('log.type', choice('plain', 'json', 'pretty', 'auto'), '`plain` is `pretty` here.', {
      fallback: 'auto',
      sample: 'json',
    }),
    patroni('log.level', { kind: 'choice', of: LOG_LEVELS, anyCase: true }, 'Least level shown.', {
      fallback: 'INFO',
    }),
    ...patroniKeys(
      'log',
      {
        traceback_level: TEXT,
        format: ANY,
        dateformat: TEXT,
        static_fields: MAP,
        max_queue_size: ANY,
        dir: TEXT,
        mode: ANY,
        file_num: ANY,
        file_size: ANY,
        loggers: MAP,
        deduplicate_heartbeat_logs: SWITCH,
      },
      { lenient: true },
    ),
  ]),
]

const REST_OF_IT: readonly Setting[] = [
  patroni('watchdog', SECTION, 'As in Patroni; not used yet.', { lenient: true }),
  ...patroniKeys(
    'watchdog',
    {
      mode: { kind: 'choice', of: ['automatic', 'required', 'off'], anyCase: true },
      device: TEXT,
      safety_margin: ANY,
    },
    { lenient: true },
  ),
  patroni('tags', OPEN_SECTION, 'Tags of this member; any further key is published.', {
    lenient: true,
  }),
  ...patroniKeys(
    'tags',
    {
      nofailover: SWITCH,
      failover_priority: ANY,
      nosync: SWITCH,
      sync_priority: ANY,
      noloadbalance: SWITCH,
      clonefrom: SWITCH,
      replicatefrom: TEXT,
      nostream: SWITCH,
    },
    { lenient: true },
  ),
]

export const COMMON_SETTINGS: readonly Setting[] = [
  ...TOP,
  ...ETCD,
  ...REST,
  ...CTL,
  ...LOG,
  ...REST_OF_IT,
]
