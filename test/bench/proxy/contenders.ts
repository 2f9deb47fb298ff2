/**
 * The contenders: each stands on a port of its own in front of the same PostgreSQL. The settings are
 * each product's best for this load, none writes a line per connection, and all get as many threads
 * or processes as pgsteer has workers.
 */
import { join } from 'node:path'
import type { Child } from '../../../src/app/demo/keeper.ts'
import { whichProgram } from '../../../src/app/demo/machine.ts'
import { mainScript, preparePgsteerNode } from '../../../src/app/demo/pgsteer-node.ts'
import type { Rig } from '../../rig/processes.ts'
import { until } from '../../rig/wait.ts'
import { accepts } from './accepts.ts'
import type { EtcdCluster } from './server.ts'

export const CONTENDERS = ['direct', 'haproxy', 'pgbouncer', 'pgsteer'] as const
export type ContenderName = (typeof CONTENDERS)[number]

export type Contender = {
  readonly name: ContenderName
  readonly port: number
  /** Roots of its process tree; empty for `direct`. */
  readonly pids: readonly number[]
  /** One line for the reader of the figures. */
  readonly setup: string
  stop(): Promise<void>
}

export type Backend = {
  readonly port: number
  readonly cluster: EtcdCluster
  /** Sessions a contender may hold to it. */
  readonly sessionsMax: number
}

export type StartOptions = {
  readonly workers: number
  /** The pgsteer to run: a `main.ts` or `main.js`; null: the one of this checkout. */
  readonly main: string | null
  /** Tells this set of contenders from another of the same rig. */
  readonly label: string
}

const READY_MS = 15_000

/** Starts those asked for; one that is not installed is left out and named in `absent`. */
export async function startContenders(
  rig: Rig,
  names: readonly ContenderName[],
  backend: Backend,
  options: StartOptions,
): Promise<{ readonly contenders: readonly Contender[]; readonly absent: readonly string[] }> {
  const contenders: Contender[] = []
  const absent: string[] = []
  for (const name of names) {
    const started = await START[name](rig, backend, options)
    if (started === null) absent.push(name)
    else contenders.push(started)
  }
  return { contenders, absent }
}

type Start = (rig: Rig, backend: Backend, options: StartOptions) => Promise<Contender | null>

const START: Readonly<Record<ContenderName, Start>> = {
  direct: async (_, { port }) => ({
    name: 'direct',
    port,
    pids: [],
    setup: 'no proxy',
    stop: async () => undefined,
  }),
  haproxy: startHaproxy,
  pgbouncer: startPgbouncer,
  pgsteer: startPgsteer,
}

async function startHaproxy(
  rig: Rig,
  backend: Backend,
  { workers, label }: StartOptions,
): Promise<Contender | null> {
  const program = whichProgram('haproxy')
  if (program === null) return null
  const port = rig.takePorts(1)
  const config = join(rig.dir, `haproxy-${label}.cfg`)
  rig.keeper.writeFile(config, haproxyText(port, backend, workers), null)
  const log = join(rig.dir, `haproxy-${label}.log`)
  const child = rig.start(program, ['-db', '-f', config], { log })
  await ready([child], port, log)
  const setup = `mode tcp, nbthread ${workers}, no logs, no checks`
  return { name: 'haproxy', port, pids: [child.pid], setup, stop: () => stopAll([child]) }
}

function haproxyText(port: number, backend: Backend, workers: number): string {
  return [
    'global',
    `  maxconn ${backend.sessionsMax}`,
    `  nbthread ${workers}`,
    'defaults',
    '  mode tcp',
    '  timeout connect 5s',
    '  timeout client 1h',
    '  timeout server 1h',
    'listen postgres',
    `  bind 127.0.0.1:${port}`,
    `  server n1 127.0.0.1:${backend.port}`,
    '',
  ].join('\n')
}

/** Session pooling, the mode that promises a client what a tunnel does; processes share the port. */
async function startPgbouncer(
  rig: Rig,
  backend: Backend,
  { workers, label }: StartOptions,
): Promise<Contender | null> {
  const program = whichProgram('pgbouncer')
  if (program === null) return null
  const port = rig.takePorts(1)
  const users = join(rig.dir, `pgbouncer-${label}.users`)
  rig.keeper.writeFile(users, '"postgres" ""\n', rig.account)
  const log = join(rig.dir, `pgbouncer-${label}.log`)
  const children = Array.from({ length: workers }, (_, index) => {
    const config = join(rig.dir, `pgbouncer-${label}-${index}.ini`)
    rig.keeper.writeFile(config, pgbouncerText(port, backend, users), rig.account)
    return rig.start(program, ['-q', config], { log, account: rig.account })
  })
  await ready(children, port, log)
  const setup = `pool_mode session, ${workers} processes with so_reuseport, no logs`
  const pids = children.map((child) => child.pid)
  return { name: 'pgbouncer', port, pids, setup, stop: () => stopAll(children) }
}

function pgbouncerText(port: number, backend: Backend, users: string): string {
  return [
    '[databases]',
    `postgres = host=127.0.0.1 port=${backend.port} dbname=postgres`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'so_reuseport = 1',
    'unix_socket_dir =',
    'auth_type = trust',
    `auth_file = ${users}`,
    'pool_mode = session',
    `max_client_conn = ${backend.sessionsMax}`,
    `default_pool_size = ${backend.sessionsMax}`,
    'log_connections = 0',
    'log_disconnections = 0',
    'log_stats = 0',
    'log_pooler_errors = 0',
    'ignore_startup_parameters = extra_float_digits',
    '',
  ].join('\n')
}

async function startPgsteer(
  rig: Rig,
  { cluster, sessionsMax }: Backend,
  { workers, main, label }: StartOptions,
): Promise<Contender> {
  const port = rig.takePorts(1)
  const node = preparePgsteerNode(rig.keeper, {
    scope: cluster.scope,
    name: 'r1',
    dir: join(rig.dir, `pgsteer-${label}`),
    etcdHosts: [cluster.etcdHost],
    restPort: rig.takePorts(1),
    listeners: [{ name: 'write', port, target: 'primary' }],
    router: { workers, limits: { max_clients: sessionsMax } },
  })
  const script = main ?? mainScript()
  const env = { PATRONI_LOG_LEVEL: 'WARNING' }
  const child = rig.start(process.execPath, [script, 'run', node.config], { log: node.log, env })
  await ready([child], port, node.log)
  const setup = `mode tunnel, ${workers} workers, log level WARNING`
  return { name: 'pgsteer', port, pids: [child.pid], setup, stop: () => stopAll([child]) }
}

async function ready(children: readonly Child[], port: number, log: string): Promise<void> {
  const isReady = async () =>
    children.every((child) => child.isAlive()) ? accepts(port) : Promise.reject(new Error('ended'))
  await until(isReady, { limitMs: READY_MS, what: `answer on ${port} (see ${log})` })
}

async function stopAll(children: readonly Child[]): Promise<void> {
  await Promise.all(children.map((child) => child.stop('SIGTERM')))
}
