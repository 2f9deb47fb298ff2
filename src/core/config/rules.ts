/** Rules between settings. They run on whatever could be parsed, so that all faults show at once. */

import type { ListenAddress } from '../fleet/messages.ts'
import { listenKey, overlaps, parseHostPort } from './addresses.ts'
import { isMap } from './parse.ts'
import { formatPath, type ProblemLog } from './problems.ts'
import { number, optionalNumber, optionalText, present, text } from './read.ts'
import { RESERVED_LISTENER_NAMES } from './settings/router.ts'
import type { HostPort, Path, Purpose } from './types.ts'
import type { Values } from './walk.ts'

/** Patroni gives this name a meaning of its own in `synchronous_standby_names`. */
const REFUSED_NAME = '__patroni_strict_sync_replica_placeholder__'

export function applyRules(
  values: Values,
  source: unknown,
  log: ProblemLog,
  purpose: Purpose,
): void {
  nodeRules(values, log, purpose)
  storeRules(values, log)
  restRules(values, log)
  listenerRules(values, log)
  addressRules(values, log)
  tlsRules(values, log)
  poolRules(values, log)
  timingRules(source, log)
}

function nodeRules(values: Values, log: ProblemLog, purpose: Purpose): void {
  if (optionalText(values, 'name') === REFUSED_NAME) {
    log.error(
      ['name'],
      `found "${REFUSED_NAME}", which Patroni keeps for itself; accepted: any other name`,
    )
  }
  if (purpose === 'run' && !present(values, 'router') && !present(values, 'postgresql')) {
    log.error([], 'neither `router` nor `postgresql` is configured; accepted: at least one of them')
  }
}

const STORE_SOURCES = ['host', 'hosts', 'url', 'proxy']

function storeRules(values: Values, log: ProblemLog): void {
  if (!present(values, 'etcd3')) {
    return log.error(['etcd3'], 'is missing; accepted: a map with `hosts`, the etcd endpoints')
  }
  const discovery = ['srv', 'srv_suffix'].find((it) => present(values, `etcd3.${it}`))
  const given = STORE_SOURCES.filter((it) => present(values, `etcd3.${it}`))
  if (given.length === 0 && discovery !== undefined) {
    log.error(['etcd3', discovery], 'DNS discovery is not in this version; accepted: `hosts`')
  }
  for (const key of ['url', 'proxy']) {
    const url = optionalText(values, `etcd3.${key}`)
    if (url !== null && parseStoreUrl(url) === null) {
      log.error(
        ['etcd3', key],
        'found a text (not shown); accepted: http://host:port or https://host:port',
      )
    }
  }
  bothOrNeither(values, log, 'etcd3', 'cert', 'key')
  if (present(values, 'etcd3.password') && !present(values, 'etcd3.username')) {
    log.error(['etcd3', 'password'], 'found without `username`; accepted: both or neither')
  }
}

/** The parts of `etcd3.url`; null when it is no such URL. */
export function parseStoreUrl(url: string): URL | null {
  const parsed = URL.canParse(url) ? new URL(url) : null
  return parsed !== null && /^https?:$/.test(parsed.protocol) && parsed.hostname !== ''
    ? parsed
    : null
}

function restRules(values: Values, log: ProblemLog): void {
  for (const section of ['restapi', 'ctl']) {
    const at = (key: string) => present(values, `${section}.${key}`)
    if (at('keyfile') && !at('certfile')) {
      log.error(
        [section, 'keyfile'],
        'found without `certfile`; accepted: both, or `certfile` alone',
      )
    }
    const { username, password } = {
      username: at('authentication.username'),
      password: at('authentication.password'),
    }
    if (username !== password) {
      log.error(
        [section, 'authentication'],
        'found only one of `username` and `password`; accepted: both',
      )
    }
  }
  const verify = optionalText(values, 'restapi.verify_client') ?? 'none'
  if (verify !== 'none' && !present(values, 'restapi.cafile')) {
    log.error(
      ['restapi', 'verify_client'],
      `found "${verify}" without \`cafile\`; accepted: none, or set \`cafile\``,
    )
  }
  const announced =
    values.get('restapi.connect_address') ??
    (present(values, 'restapi') ? values.get('restapi.listen') : null)
  if (announced && ['*', '::', '0.0.0.0'].includes((announced as HostPort).host)) {
    log.warning(
      ['restapi', 'connect_address'],
      'members will be told an address that reaches nobody; accepted: host:port of this node',
    )
  }
}

function listenerRules(values: Values, log: ProblemLog): void {
  const names = new Map<string, number>()
  for (const i of listenerIndexes(values)) {
    const at = (key: string): Path => ['router', 'listeners', i, key]
    const get = (key: string) => optionalText(values, `router.listeners[${i}].${key}`)
    const name = get('name')
    if (name !== null && RESERVED_LISTENER_NAMES.includes(name.toLowerCase())) {
      log.error(
        at('name'),
        `found "${name}", the name of the admin console; accepted: another name`,
      )
    }
    const first = name === null ? undefined : names.get(name)
    if (first !== undefined)
      log.error(
        at('name'),
        `found "${name}" as in router.listeners[${first}]; accepted: a name of its own`,
      )
    else if (name !== null) names.set(name, i)
    const mode = get('mode') ?? 'tunnel'
    if (mode !== 'tunnel')
      log.error(at('mode'), `found "${mode}", but pooling is not in this version; accepted: tunnel`)
    replicaOnly(values, log, i)
  }
}

function replicaOnly(values: Values, log: ProblemLog, i: number): void {
  if (optionalText(values, `router.listeners[${i}].target`) !== 'primary') return
  const path = `router.listeners[${i}]`
  const useless = [
    ...(optionalText(values, `${path}.fallback`) === 'primary' ? ['fallback'] : []),
    ...(optionalNumber(values, `${path}.max_lag`) === null ? [] : ['max_lag']),
  ]
  for (const key of useless) {
    log.warning(
      ['router', 'listeners', i, key],
      'has no effect with target primary; accepted with replica, sync, any',
    )
  }
}

function listenerIndexes(values: Values): number[] {
  return Array.from({ length: optionalNumber(values, 'router.listeners') ?? 0 }, (_, i) => i)
}

function addressRules(values: Values, log: ProblemLog): void {
  const taken = new Map<string, string>()
  const others = otherListeners(values)
  for (const i of listenerIndexes(values)) {
    const path: Path = ['router', 'listeners', i, 'listen']
    const told = new Set<string>()
    for (const address of (values.get(formatPath(path)) ?? []) as ListenAddress[]) {
      const key = listenKey(address)
      const other = others.find(([, it]) => address.kind === 'tcp' && overlaps(it, address))?.[0]
      const holder = taken.get(key) ?? other
      taken.set(key, `router.listeners[${i}]`)
      if (holder === undefined || told.has(holder)) continue
      told.add(holder)
      log.error(path, `found ${key}, which ${holder} uses too; accepted: an address of its own`)
    }
  }
}

/** What else this node binds: these ports are not shared, so a wildcard clashes as well. */
function otherListeners(values: Values): [string, HostPort][] {
  const rest = values.get('restapi.listen') as HostPort | undefined
  const hosts = (optionalText(values, 'postgresql.listen') ?? '').split(',')
  const port = /:\d+$/.exec(hosts.at(-1)!)?.[0] ?? ''
  const postgres = hosts.map((it) =>
    parseHostPort(it.endsWith(port) ? it.trim() : it.trim() + port, null),
  )
  return [
    ...(rest === undefined ? [] : [['restapi.listen', rest] as [string, HostPort]]),
    ...postgres.flatMap((it) =>
      it === null ? [] : [['postgresql.listen', it] as [string, HostPort]],
    ),
  ]
}

function tlsRules(values: Values, log: ProblemLog): void {
  for (const section of ['client_tls', 'server_tls']) {
    const mode = optionalText(values, `router.${section}.mode`)
    const verifies = mode?.startsWith('verify-') === true
    if (verifies && !present(values, `router.${section}.ca`)) {
      log.error(
        ['router', section, 'mode'],
        `found "${mode}" without \`ca\`; accepted: set \`ca\`, or a mode without verification`,
      )
    }
  }
  bothOrNeither(values, log, 'router.server_tls', 'cert', 'key')
}

function bothOrNeither(
  values: Values,
  log: ProblemLog,
  section: string,
  a: string,
  b: string,
): void {
  const [hasA, hasB] = [present(values, `${section}.${a}`), present(values, `${section}.${b}`)]
  if (hasA === hasB) return
  const [there, missing] = hasA ? [a, b] : [b, a]
  log.error(
    [...section.split('.'), there],
    `found without \`${missing}\`; accepted: both or neither`,
  )
}

function poolRules(values: Values, log: ProblemLog): void {
  if (!present(values, 'router.pool')) return
  const [least, most] = [number(values, 'router.pool.min_size'), number(values, 'router.pool.size')]
  if (least > most)
    log.error(['router', 'pool', 'min_size'], `found ${least}; accepted: at most \`size\`, ${most}`)
  if (text(values, 'router.auth.type') === 'hba' && !present(values, 'router.auth.hba_file')) {
    log.error(
      ['router', 'auth', 'type'],
      'found "hba" without `hba_file`; accepted: set `hba_file`, or another type',
    )
  }
}

/** Patroni repairs this itself, so it is a warning: loop_wait + 2 * retry_timeout <= ttl. */
function timingRules(source: unknown, log: ProblemLog): void {
  const bootstrap = isMap(source) ? source['bootstrap'] : null
  const dcs = isMap(bootstrap) ? bootstrap['dcs'] : null
  if (!isMap(dcs)) return
  const seconds = (key: string, fallback: number) => Number(dcs[key] ?? fallback)
  const [ttl, wait, retry] = [
    seconds('ttl', 30),
    seconds('loop_wait', 10),
    seconds('retry_timeout', 10),
  ]
  if (wait + 2 * retry > ttl) {
    log.warning(
      ['bootstrap', 'dcs', 'ttl' in dcs ? 'ttl' : 'loop_wait'],
      `found ttl ${ttl}, loop_wait ${wait}, retry_timeout ${retry}; accepted: loop_wait + 2 * retry_timeout <= ttl`,
    )
  }
}
