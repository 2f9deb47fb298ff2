/** The one table of settings: validator, schema, reference page and sample all read it. */
import type { Setting } from '../setting.ts'
import { AGENT_SETTINGS } from './patroni-agent.ts'
import { COMMON_SETTINGS } from './patroni-common.ts'
import { ROUTER_SETTINGS } from './router.ts'
import { VIP_SETTINGS } from './vip.ts'

export const SETTINGS: readonly Setting[] = [
  ...COMMON_SETTINGS,
  ...ROUTER_SETTINGS,
  ...VIP_SETTINGS,
  ...AGENT_SETTINGS,
]

/** Sections Patroni knows and this daemon refuses, with what to say. */
export const REFUSED_SECTIONS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['etcd', 'consul', 'zookeeper', 'exhibitor', 'kubernetes', 'raft'].map((store) => [
      store,
      `${store === 'etcd' ? 'etcd with its version 2 protocol' : store} is not supported as store; accepted: an \`etcd3\` section (etcd 3.4 or newer)`,
    ]),
  ),
  citus: 'Citus is not supported; accepted: no such section (the store is `etcd3`, without groups)',
}
