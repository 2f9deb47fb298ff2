/**
 * Patroni's `bootstrap:` and `postgresql:`. The router reads neither; they are known so that an
 * existing file passes and a misspelt key is still found. Everything here is lenient.
 */
import {
  ANY,
  MAP,
  OPEN_SECTION,
  patroni,
  patroniKeys,
  SECTION,
  type Setting,
  SWITCH,
  TEXT,
  type ValueType,
} from '../setting.ts'

const LENIENT = { lenient: true } as const
const ROLES = ['primary', 'replica', 'standby_leader']

const ACCOUNTS = ['superuser', 'replication', 'rewind']
const ACCOUNT_KEYS =
  'username password sslmode sslkey sslpassword sslcert sslrootcert sslcrl sslcrldir sslnegotiation gssencmode channel_binding'
const TOOLS = 'pg_ctl initdb pg_controldata pg_basebackup postgres pg_isready pg_rewind'
const CALLBACKS = 'on_start on_stop on_restart on_reload on_role_change'

const named = (names: string, type: ValueType): Record<string, ValueType> =>
  Object.fromEntries(names.split(' ').map((name) => [name, type]))

const byRole = (name: string, type: ValueType): Record<string, ValueType> =>
  Object.fromEntries([name, ...ROLES.map((role) => `${name}_${role}`)].map((key) => [key, type]))

/** Keys that dynamic configuration may carry too (everything not about this one node). */
const SHARED_KEYS: Readonly<Record<string, ValueType>> = {
  use_pg_rewind: SWITCH,
  use_slots: SWITCH,
  use_unix_socket: SWITCH,
  use_unix_socket_repl: SWITCH,
  krbsrvname: TEXT,
  database: TEXT,
  bin_dir: TEXT,
  custom_conf: TEXT,
  pre_promote: TEXT,
  before_stop: TEXT,
  pg_ctl_timeout: ANY,
  remove_data_directory_on_rewind_failure: SWITCH,
  remove_data_directory_on_diverged_timelines: SWITCH,
  create_replica_methods: ANY,
  create_replica_method: ANY,
  basebackup: ANY,
  rewind: ANY,
  recovery_conf: MAP,
  ...byRole('parameters', MAP),
  ...byRole('pg_hba', ANY),
  ...byRole('pg_ident', ANY),
}

const NODE_KEYS = 'listen connect_address proxy_address data_dir config_dir pgpass'
const NODE_KEYS_WITH_VARIABLE = `${NODE_KEYS} bin_dir`.split(' ')

const POSTGRESQL: readonly Setting[] = [
  patroni('postgresql', SECTION, 'The PostgreSQL of this node. Not used by the router.', LENIENT),
  ...patroniKeys('postgresql', { ...named(NODE_KEYS, TEXT), ...SHARED_KEYS }, LENIENT).map(
    withNodeVariable,
  ),
  patroni('postgresql.bin_name', SECTION, 'Names of the tools.', LENIENT),
  ...patroniKeys('postgresql.bin_name', named(TOOLS, TEXT), LENIENT).map((it) => ({
    ...it,
    env: `PATRONI_POSTGRESQL_BIN_${it.path.slice('postgresql.bin_name.'.length).toUpperCase()}`,
  })),
  patroni('postgresql.callbacks', SECTION, 'Programs run on changes.', LENIENT),
  ...patroniKeys('postgresql.callbacks', named(CALLBACKS, TEXT), LENIENT),
  patroni('postgresql.authentication', SECTION, 'Accounts of the agent.', LENIENT),
  ...ACCOUNTS.flatMap(account),
]

function account(name: string): Setting[] {
  const path = `postgresql.authentication.${name}`
  const keys = patroniKeys(path, named(ACCOUNT_KEYS, TEXT), LENIENT).map((it) => {
    const key = it.path.slice(path.length + 1)
    const env = `PATRONI_${name.toUpperCase()}_${key.toUpperCase()}`
    return { ...it, env, secret: key.endsWith('password') }
  })
  return [patroni(path, SECTION, 'As in Patroni.', LENIENT), ...keys]
}

function withNodeVariable(setting: Setting): Setting {
  const key = setting.path.slice('postgresql.'.length)
  if (!NODE_KEYS_WITH_VARIABLE.includes(key)) return setting
  return { ...setting, env: `PATRONI_POSTGRESQL_${key.toUpperCase()}` }
}

const DYNAMIC_KEYS: Readonly<Record<string, ValueType>> = {
  ...named(
    'ttl loop_wait retry_timeout maximum_lag_on_failover maximum_lag_on_syncnode max_timelines_history ' +
      'primary_start_timeout master_start_timeout primary_stop_timeout master_stop_timeout ' +
      'primary_race_backoff synchronous_mode synchronous_node_count member_slots_ttl ignore_slots',
    ANY,
  ),
  ...named('check_timeline synchronous_mode_strict failsafe_mode pause', SWITCH),
  slots: OPEN_SECTION,
  pgsteer: OPEN_SECTION,
}

const STANDBY_CLUSTER =
  'host port primary_slot_name create_replica_methods restore_command archive_cleanup_command recovery_min_apply_delay'

const BOOTSTRAP: readonly Setting[] = [
  patroni('bootstrap', SECTION, 'How a new cluster is made. Not used by the router.', LENIENT),
  ...patroniKeys(
    'bootstrap',
    { ...named('method post_bootstrap post_init', TEXT), initdb: ANY, pg_hba: ANY, users: ANY },
    LENIENT,
  ),
  patroni('bootstrap.dcs', SECTION, 'First content of the `config` key.', LENIENT),
  ...patroniKeys('bootstrap.dcs', DYNAMIC_KEYS, LENIENT),
  patroni('bootstrap.dcs.standby_cluster', OPEN_SECTION, 'As in Patroni.', LENIENT),
  ...patroniKeys('bootstrap.dcs.standby_cluster', named(STANDBY_CLUSTER, ANY), LENIENT),
  patroni('bootstrap.dcs.postgresql', SECTION, 'As in Patroni.', LENIENT),
  ...patroniKeys('bootstrap.dcs.postgresql', SHARED_KEYS, LENIENT),
]

export const AGENT_SETTINGS: readonly Setting[] = [...BOOTSTRAP, ...POSTGRESQL]
