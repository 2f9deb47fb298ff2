/** One PostgreSQL by itself, for tests that need a server and no cluster. */
import { execFile } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Child } from '../../src/app/demo/keeper.ts'
import type { Rig } from './processes.ts'
import { until } from './wait.ts'

const run = promisify(execFile)
const READY_MS = 20_000
const PASSWORD = 'postgres'

export type PostgresOptions = {
  readonly name?: string
  /** Lines for postgresql.conf. */
  readonly settings?: Readonly<Record<string, string | number>>
  /** Lines for pg_hba.conf; default: scram-sha-256 for all from the loopback addresses. */
  readonly hba?: readonly string[]
  /** Data directory of a server to take a base backup from and follow. */
  readonly standbyOf?: Postgres
}

export type Postgres = {
  readonly host: '127.0.0.1'
  readonly port: number
  readonly dataDir: string
  readonly log: string
  /** As superuser `postgres`. */
  url(database?: string): string
  /** The postmaster started last. */
  postmaster(): Child
  start(): Promise<void>
  /** `fast` by default, as pg_ctl names it. */
  stop(mode?: 'smart' | 'fast' | 'immediate'): Promise<void>
  /** SIGKILL to the postmaster. */
  kill(): Promise<void>
  /** Ends recovery and waits for it. */
  promote(): Promise<void>
  query(sql: string, values?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>
}

const STOP_SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const

/** initdb (or base backup), start, ready for queries. */
export async function startPostgres(rig: Rig, options: PostgresOptions = {}): Promise<Postgres> {
  const port = rig.takePorts(1)
  const home = join(rig.dir, options.name ?? `postgres-${port}`)
  const dataDir = join(home, 'data')
  const log = join(home, 'postgres.log')
  rig.keeper.makeDir(home, rig.account)
  await (options.standbyOf === undefined
    ? initialise(rig, home, dataDir)
    : copyFrom(rig, options.standbyOf, dataDir))
  const settings = { ...DEFAULTS, ...options.settings, port }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`)
  appendFileSync(join(dataDir, 'postgresql.conf'), lines.join(''))
  if (options.hba !== undefined) {
    rig.keeper.writeFile(join(dataDir, 'pg_hba.conf'), `${options.hba.join('\n')}\n`, rig.account)
  }
  const postgres = describePostgres(rig, { port, dataDir, log })
  await postgres.start()
  return postgres
}

const DEFAULTS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  dynamic_shared_memory_type: 'mmap',
  shared_buffers: '32MB',
  max_connections: 200,
  password_encryption: 'scram-sha-256',
}

type Place = { readonly port: number; readonly dataDir: string; readonly log: string }

function describePostgres(rig: Rig, { port, dataDir, log }: Place): Postgres {
  let child: Child | null = null
  const postmaster = (): Child => {
    if (child === null) throw new Error('PostgreSQL was not started')
    return child
  }
  const url = (database = 'postgres') =>
    `postgresql://postgres:${PASSWORD}@127.0.0.1:${port}/${database}`
  const query = (sql: string, values: readonly unknown[] = []) => queryOnce(url(), sql, values)
  return {
    host: '127.0.0.1',
    port,
    dataDir,
    log,
    url,
    postmaster,
    query,
    async start() {
      const program = join(rig.programs.postgresBin, 'postgres')
      const { account } = rig
      const started = rig.start(program, ['-D', dataDir], { log, account })
      child = started
      await until(async () => !started.isAlive() || (await query('SELECT 1')).length === 1, {
        limitMs: READY_MS,
        what: `answer of PostgreSQL on ${port} (see ${log})`,
      })
      if (!started.isAlive()) throw new Error(`PostgreSQL did not start (see ${log})`)
    },
    async stop(mode = 'fast') {
      await postmaster().stop(STOP_SIGNALS[mode], READY_MS)
    },
    async kill() {
      await postmaster().stop('SIGKILL')
    },
    async promote() {
      await query('SELECT pg_promote(true)')
      await until(
        async () => (await query('SELECT pg_is_in_recovery() AS r'))[0]?.['r'] === false,
        {
          limitMs: READY_MS,
          what: 'end of recovery',
        },
      )
    },
  }
}

async function initialise(rig: Rig, home: string, dataDir: string): Promise<void> {
  const secret = join(home, 'password')
  rig.keeper.writeFile(secret, `${PASSWORD}\n`, rig.account)
  const flags = ['--username=postgres', '--auth=scram-sha-256', `--pwfile=${secret}`]
  const more = ['--encoding=UTF8', '--locale=C.UTF-8', '--no-sync', '--data-checksums']
  await run(join(rig.programs.postgresBin, 'initdb'), ['-D', dataDir, ...flags, ...more], {
    cwd: '/',
    ...(rig.account ?? {}),
  })
}

async function copyFrom(rig: Rig, source: Postgres, dataDir: string): Promise<void> {
  const flags = ['--checkpoint=fast', '--no-sync', '--write-recovery-conf', '-X', 'stream']
  const args = ['-D', dataDir, '-d', source.url(), ...flags]
  await run(join(rig.programs.postgresBin, 'pg_basebackup'), args, {
    cwd: '/',
    ...(rig.account ?? {}),
  })
}

async function queryOnce(
  connectionString: string,
  sql: string,
  values: readonly unknown[],
): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 5000 })
  client.on('error', () => undefined) // the query that fails of it reports it
  try {
    await client.connect()
    return (await client.query<Record<string, unknown>>(sql, [...values])).rows
  } finally {
    await client.end().catch(() => undefined)
  }
}
