/** Parsed values, known to be without errors → the frozen `Config`. */
import type { ListenAddress, ServerTls } from '../fleet/messages.ts'
import type { Balance, Target } from '../routing/types.ts'
import { formatHostPort } from './addresses.ts'
import { ETCD_PORT } from './parse.ts'
import { flag, number, optionalNumber, optionalText, present, text, texts } from './read.ts'
import { parseStoreUrl } from './rules.ts'
import type {
  AuthType,
  Config,
  EtcdConfig,
  HostPort,
  LogConfig,
  PeersConfig,
  Purpose,
  RestConfig,
  RouterConfig,
  RouterListener,
} from './types.ts'
import type { Values } from './walk.ts'

export function buildConfig(values: Values, raw: unknown, purpose: Purpose): Config {
  const scope = text(values, 'scope')
  const namespace = normaliseNamespace(text(values, 'namespace'))
  const config = {
    scope,
    name: optionalText(values, 'name') ?? '',
    namespace,
    prefix: `${namespace}${scope}/`,
    etcd: buildEtcd(values),
    restapi: purpose === 'run' || present(values, 'restapi') ? buildRest(values) : null,
    peers: buildPeers(values, purpose),
    agent: { present: present(values, 'postgresql') },
    router: present(values, 'router') ? buildRouter(values) : null,
    vip: present(values, 'vip') ? buildVip(values) : null,
    log: buildLog(values),
  }
  return Object.freeze({ ...deepFreeze(config), raw })
}

/** `service`, `/service` and `//service/` are one namespace; the empty one is `/`. */
function normaliseNamespace(given: string): string {
  return `/${given}/`.replaceAll(/\/+/g, '/')
}

function buildEtcd(values: Values): EtcdConfig {
  const given = optionalText(values, 'etcd3.url') ?? optionalText(values, 'etcd3.proxy')
  const hosts = [...texts(values, 'etcd3.hosts'), ...texts(values, 'etcd3.host')]
  const url = given === null || hosts.length > 0 ? null : parseStoreUrl(given)
  const cut = url?.protocol === 'https:' ? 'https' : 'http'
  return {
    endpoints: url === null ? storeHosts(values) : [storeUrlHost(url)],
    protocol: url === null ? (text(values, 'etcd3.protocol') as 'http' | 'https') : cut,
    username: (url && decodeURIComponent(url.username)) || optionalText(values, 'etcd3.username'),
    password: (url && decodeURIComponent(url.password)) || optionalText(values, 'etcd3.password'),
    cacertFile: optionalText(values, 'etcd3.cacert'),
    certFile: optionalText(values, 'etcd3.cert'),
    keyFile: optionalText(values, 'etcd3.key'),
  }
}

function storeHosts(values: Values): readonly string[] {
  const hosts = texts(values, 'etcd3.hosts')
  if (hosts.length > 0) return [...new Set(hosts)]
  const host = texts(values, 'etcd3.host')
  return host.length > 0 ? host : [`127.0.0.1:${ETCD_PORT}`]
}

function storeUrlHost(url: URL): string {
  return `${url.hostname}:${url.port || ETCD_PORT}`
}

function buildRest(values: Values): RestConfig {
  const given = (values.get('restapi.listen') ?? { host: '127.0.0.1', port: 8008 }) as HostPort
  const connect = (values.get('restapi.connect_address') ?? given) as HostPort
  const secure = present(values, 'restapi.certfile')
  return {
    listen: given.host === '*' ? { ...given, host: '::' } : given,
    connectAddress: formatHostPort(connect),
    certFile: optionalText(values, 'restapi.certfile'),
    keyFile: optionalText(values, 'restapi.keyfile'),
    keyPassword: optionalText(values, 'restapi.keyfile_password'),
    caFile: optionalText(values, 'restapi.cafile'),
    ciphers: optionalText(values, 'restapi.ciphers'),
    verifyClient: (optionalText(values, 'restapi.verify_client') ??
      'none') as RestConfig['verifyClient'],
    username: optionalText(values, 'restapi.authentication.username'),
    password: optionalText(values, 'restapi.authentication.password'),
    allowlist: texts(values, 'restapi.allowlist'),
    allowlistIncludeMembers: flag(values, 'restapi.allowlist_include_members'),
    extraHeaders: {
      ...headers(values, 'restapi.http_extra_headers'),
      ...(secure ? headers(values, 'restapi.https_extra_headers') : {}),
    },
  }
}

function headers(values: Values, path: string): Readonly<Record<string, string>> {
  return (values.get(path) ?? {}) as Readonly<Record<string, string>>
}

/**
 * Daemons check a peer's certificate only when they show one themselves, and never its host name;
 * commands check both unless `ctl.insecure`. Both as in Patroni.
 */
function buildPeers(values: Values, purpose: Purpose): PeersConfig {
  const either = (a: string, b: string) => optionalText(values, a) ?? optionalText(values, b)
  const own = present(values, 'ctl.certfile') ? 'ctl' : 'restapi'
  const auth = present(values, 'ctl.authentication.username') ? 'ctl' : 'restapi'
  const certFile = optionalText(values, `${own}.certfile`)
  const careless = flag(values, 'ctl.insecure')
  return {
    caFile: either('ctl.cacert', 'restapi.cafile'),
    certFile,
    keyFile: optionalText(values, `${own}.keyfile`),
    keyPassword: optionalText(values, `${own}.keyfile_password`),
    username: optionalText(values, `${auth}.authentication.username`),
    password: optionalText(values, `${auth}.authentication.password`),
    insecure: purpose === 'run' ? certFile === null : careless,
    verifyHost: purpose === 'ctl' && !careless,
  }
}

function buildRouter(values: Values): RouterConfig {
  const at = (key: string) => number(values, `router.${key}`)
  const count = number(values, 'router.listeners')
  return {
    workers: optionalNumber(values, 'router.workers') ?? 'auto',
    runDir: optionalText(values, 'router.run_dir'),
    listeners: Array.from({ length: count }, (_, i) =>
      buildListener(values, `router.listeners[${i}]`),
    ),
    hold: { timeoutMs: at('hold.timeout'), maxClients: at('hold.max_clients') },
    limits: {
      maxClients: at('limits.max_clients'),
      loginTimeoutMs: at('limits.login_timeout'),
      connectTimeoutMs: at('limits.connect_timeout'),
      connectWindow: at('limits.connect_window'),
    },
    keepalive: { idleMs: at('keepalive.idle') },
    ...buildRouterTls(values),
    shutdownGraceMs: at('shutdown_grace'),
    ...buildPooling(values),
  }
}

function buildListener(values: Values, path: string): RouterListener {
  const target = text(values, `${path}.target`) as Target
  const fallback = text(values, `${path}.fallback`) === 'primary' && target !== 'primary'
  return {
    name: text(values, `${path}.name`),
    listen: values.get(`${path}.listen`) as readonly ListenAddress[],
    target,
    mode: 'tunnel',
    fallback: fallback ? 'primary' : null,
    balance: text(values, `${path}.balance`) as Balance,
    maxLagBytes: optionalNumber(values, `${path}.max_lag`),
    proxyProtocolFrom: texts(values, `${path}.proxy_protocol`),
  }
}

function buildRouterTls(values: Values): Pick<RouterConfig, 'clientTls' | 'serverTls'> {
  const client = (key: string) => `router.client_tls.${key}`
  const server = (key: string) => `router.server_tls.${key}`
  const ends = present(values, 'router.client_tls')
  return {
    clientTls: ends
      ? {
          mode: text(values, client('mode')) as NonNullable<RouterConfig['clientTls']>['mode'],
          certFile: text(values, client('cert')),
          keyFile: text(values, client('key')),
          caFile: optionalText(values, client('ca')),
        }
      : null,
    serverTls: {
      mode: text(values, server('mode')) as ServerTls['mode'],
      caFile: optionalText(values, server('ca')),
      certFile: optionalText(values, server('cert')),
      keyFile: optionalText(values, server('key')),
    },
  }
}

function buildPooling(values: Values): Pick<RouterConfig, 'pool' | 'auth' | 'admin'> {
  const pool = (key: string) => number(values, `router.pool.${key}`)
  return {
    pool: {
      size: pool('size'),
      minSize: pool('min_size'),
      reserveSize: pool('reserve_size'),
      reserveTimeoutMs: pool('reserve_timeout'),
      queryWaitTimeoutMs: pool('query_wait_timeout'),
      idleTimeoutMs: pool('idle_timeout'),
      lifetimeMs: pool('lifetime'),
      maxPreparedStatements: pool('max_prepared_statements'),
    },
    auth: {
      type: text(values, 'router.auth.type') as AuthType,
      file: optionalText(values, 'router.auth.file'),
      query: optionalText(values, 'router.auth.query'),
      user: optionalText(values, 'router.auth.user'),
      hbaFile: optionalText(values, 'router.auth.hba_file'),
    },
    admin: { users: texts(values, 'router.admin.users') },
  }
}

function buildVip(values: Values): Readonly<Record<string, unknown>> {
  const own = [...values].filter(([path]) => path.startsWith('vip.'))
  return Object.fromEntries(own.map(([path, value]) => [path.slice('vip.'.length), value]))
}

const LEVELS: Readonly<Record<string, LogConfig['level']>> = {
  TRACE: 'trace',
  NOTSET: 'trace',
  DEBUG: 'debug',
  WARN: 'warn',
  WARNING: 'warn',
  ERROR: 'error',
  FATAL: 'fatal',
  CRITICAL: 'fatal',
}

function buildLog(values: Values): LogConfig {
  const type = optionalText(values, 'log.type') ?? 'auto'
  return {
    level: LEVELS[optionalText(values, 'log.level') ?? 'INFO'] ?? 'info',
    format: type === 'json' ? 'json' : type === 'auto' ? 'auto' : 'pretty',
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const part of Object.values(value)) deepFreeze(part)
  }
  return value
}
