/** The demo: etcd, stock Patroni nodes and a pgsteer beside each, up to a first write through it. */
import { join } from 'node:path'
import pg from 'pg'
import { makeDemoDir } from './demo-dir.ts'
import { type DemoEtcd, startEtcd } from './etcd.ts'
import { DemoFault } from './fault.ts'
import { type Keeper, openKeeper } from './keeper.ts'
import { type Account, findPrograms, type Programs, serverAccount } from './machine.ts'
import { type PatroniCluster, startPatroniCluster } from './patroni-cluster.ts'
import { TUNING } from './patroni-config.ts'
import { type PgsteerNode, preparePgsteerNode } from './pgsteer-node.ts'
import { allPorts, type ClusterPorts, planPorts, takenPorts } from './ports.ts'
import { endStrangers } from './strangers.ts'
import { until } from './until.ts'

const SCOPE = 'demo'
const FIRST_WRITE_MS = 30_000
const CONNECT_MS = 10_000

export type DemoOptions = {
  /** Null: a fresh one in the temporary directory. */
  readonly dir: string | null
  readonly nodes: number
  readonly basePort: number
}

export type Demo = {
  readonly dir: string
  readonly etcd: DemoEtcd
  readonly cluster: PatroniCluster
  readonly routers: readonly PgsteerNode[]
  readonly programs: Programs
  /** Ends every process and removes the directory. */
  end(): Promise<void>
}

/** Called with one line for each step. */
export type Progress = (line: string) => void

/**
 * Starts everything and returns once a write through the write listener worked. Stops early, with
 * all removed again, when `abort` fires. Throws `DemoFault` for what the user can put right.
 */
export async function startDemo(
  options: DemoOptions,
  abort: AbortSignal,
  say: Progress,
): Promise<Demo> {
  const programs = findPrograms()
  const account = serverAccount()
  const ports = planPorts(options.basePort, options.nodes)
  const taken = await takenPorts(allPorts(ports))
  if (taken.length > 0) {
    throw new DemoFault(`ports in use: ${taken.join(', ')}; choose others with --base-port`)
  }
  const dir = makeDemoDir(options.dir, account)
  const keeper = openKeeper(dir, { keepDir: false })
  const started = startParts({ keeper, programs, account, ports, say })
  const aborted = new Promise<never>((_, reject) => {
    abort.addEventListener('abort', () => reject(new DemoFault('interrupted')), { once: true })
  })
  try {
    abort.throwIfAborted()
    const parts = await Promise.race([started, aborted])
    return { dir, programs, ...parts, end: () => endDemo(keeper, ports) }
  } catch (error) {
    started.catch(() => undefined) // its processes are being ended
    await endDemo(keeper, ports)
    throw error
  }
}

async function endDemo(keeper: Keeper, ports: ClusterPorts): Promise<void> {
  const nodeDirs = ports.nodes.map((_, index) => join(keeper.dir, `n${index + 1}`))
  await endStrangers({ nodeDirs, ports: allPorts(ports), known: keeper.running() })
  await keeper.end({ keepDir: false })
}

type Plan = {
  readonly keeper: Keeper
  readonly programs: Programs
  readonly account: Account | null
  readonly ports: ClusterPorts
  readonly say: Progress
}

async function startParts({ keeper, programs, account, ports, say }: Plan) {
  say(`starting etcd in ${keeper.dir}`)
  const etcd = await startEtcd(keeper, programs.etcd, ports.etcd, account)
  say(`starting Patroni and PostgreSQL, nodes: ${ports.nodes.length}`)
  const etcdHosts = [`127.0.0.1:${ports.etcd.client}`]
  const nodes = ports.nodes.map((node, index) => ({
    name: `n${index + 1}`,
    postgresPort: node.postgres,
    restPort: node.patroni,
  }))
  const tools = { keeper, programs, account }
  const plan = { scope: SCOPE, nodes, etcdHosts, tuning: TUNING }
  const cluster = await startPatroniCluster(tools, plan)
  say(`${await cluster.awaitLeader()} leads; starting a pgsteer beside each node`)
  const routers = await startRouters(keeper, ports, etcdHosts)
  await firstWrite(cluster, routers)
  return { etcd, cluster, routers }
}

async function startRouters(
  keeper: Keeper,
  ports: ClusterPorts,
  etcdHosts: readonly string[],
): Promise<readonly PgsteerNode[]> {
  const routers = ports.nodes.map((node, index) =>
    preparePgsteerNode(keeper, {
      scope: SCOPE,
      name: `n${index + 1}`,
      dir: join(keeper.dir, `n${index + 1}`),
      etcdHosts,
      restPort: node.rest,
      listeners: [
        { name: 'write', port: node.write, target: 'primary' },
        {
          name: 'read',
          port: node.read,
          target: 'replica',
          more: { fallback: 'primary', balance: 'leastconn', max_lag: '16MB' },
        },
      ],
    }),
  )
  for (const router of routers) router.start()
  await Promise.all(routers.map((router) => router.awaitHealthy()))
  return routers
}

/** Through every router, so that each printed address is known to work. */
async function firstWrite(cluster: PatroniCluster, routers: readonly PgsteerNode[]): Promise<void> {
  for (const router of routers) {
    await until(() => writeOnce(listenerUrl(cluster, router, 'write')), {
      limitMs: FIRST_WRITE_MS,
      what: `write through ${router.listeners['write']} (see ${router.log})`,
    })
  }
}

async function writeOnce(url: string): Promise<true> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_MS })
  client.on('error', () => undefined) // reported by the query that fails of it
  try {
    await client.connect()
    await client.query('CREATE TEMPORARY TABLE pgsteer_demo AS SELECT 1')
    return true
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** The application's URL through a listener of this router. */
export function listenerUrl(cluster: PatroniCluster, router: PgsteerNode, name: string): string {
  const [host = '', port = ''] = router.listeners[name]?.split(':') ?? []
  return cluster.appUrl(host, Number(port))
}
