/** The configuration file of one stock Patroni node of a local cluster; pure. */
import type { Plain } from './yaml-text.ts'

/** Patroni's dynamic settings that tests vary; times in seconds, as Patroni has them. */
export type Tuning = {
  readonly ttl: number
  readonly loopWait: number
  readonly retryTimeout: number
  readonly failsafe: boolean
  readonly synchronous: boolean
}
export const TUNING: Tuning = {
  ttl: 20,
  loopWait: 1,
  retryTimeout: 3,
  failsafe: true,
  synchronous: false,
}

export type Passwords = {
  readonly superuser: string
  readonly replication: string
  readonly rewind: string
  readonly app: string
}

export type PatroniNodePlan = {
  readonly scope: string
  readonly name: string
  readonly dir: string
  readonly postgresPort: number
  readonly restPort: number
  readonly etcdHosts: readonly string[]
  readonly postgresBin: string
  readonly passwords: Passwords
  readonly tuning: Tuning
  /** Server parameters on top of `PARAMETERS`. */
  readonly parameters: Readonly<Record<string, Plain>>
  readonly tags: Readonly<Record<string, Plain>>
}

/** Small and honest: fsync stays on, and nothing is left outside the data directory. */
const PARAMETERS = {
  max_connections: 200,
  shared_buffers: '32MB',
  dynamic_shared_memory_type: 'mmap',
  unix_socket_directories: '',
  password_encryption: 'scram-sha-256',
  wal_level: 'replica',
  wal_log_hints: 'on',
  wal_keep_size: '128MB',
  max_wal_size: '256MB',
  min_wal_size: '32MB',
  max_wal_senders: 10,
  max_replication_slots: 10,
  hot_standby: 'on',
  logging_collector: 'on',
  log_filename: 'postgresql.log',
  log_rotation_age: 0,
  log_line_prefix: '%m [%p] %q%u@%d ',
  cluster_name: 'demo',
} as const

const PG_HBA = [
  'host all all 127.0.0.1/32 scram-sha-256',
  'host all all ::1/128 scram-sha-256',
  'host replication all 127.0.0.1/32 scram-sha-256',
  'host replication all ::1/128 scram-sha-256',
]

export function patroniConfig(plan: PatroniNodePlan): { readonly [key: string]: Plain } {
  const rest = `127.0.0.1:${plan.restPort}`
  const server = `127.0.0.1:${plan.postgresPort}`
  return {
    scope: plan.scope,
    namespace: '/service/',
    name: plan.name,
    etcd3: { hosts: plan.etcdHosts },
    restapi: { listen: rest, connect_address: rest },
    bootstrap: {
      dcs: dynamicConfig(plan),
      initdb: [{ encoding: 'UTF8' }, { locale: 'C.UTF-8' }, 'data-checksums', 'no-sync'],
    },
    postgresql: {
      listen: server,
      connect_address: server,
      data_dir: `${plan.dir}/data`,
      bin_dir: plan.postgresBin,
      pgpass: `${plan.dir}/pgpass`,
      authentication: {
        superuser: { username: 'postgres', password: plan.passwords.superuser },
        replication: { username: 'replicator', password: plan.passwords.replication },
        rewind: { username: 'rewinder', password: plan.passwords.rewind },
      },
      basebackup: [{ checkpoint: 'fast' }, 'no-sync'],
      parameters: { log_directory: `${plan.dir}/log` },
      pg_hba: PG_HBA,
    },
    tags: plan.tags,
  }
}

function dynamicConfig({ tuning, scope, parameters }: PatroniNodePlan): Plain {
  return {
    ttl: tuning.ttl,
    loop_wait: tuning.loopWait,
    retry_timeout: tuning.retryTimeout,
    maximum_lag_on_failover: 16 * 1024 * 1024,
    failsafe_mode: tuning.failsafe,
    synchronous_mode: tuning.synchronous,
    postgresql: {
      use_pg_rewind: true,
      use_slots: true,
      parameters: { ...PARAMETERS, cluster_name: scope, ...parameters },
    },
  }
}
