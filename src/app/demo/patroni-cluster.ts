/**
 * A cluster of stock Patroni nodes on one machine, of any purpose: the demo shows it, tests break
 * it. Nothing here knows the router.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import pg from 'pg'
import type { Keeper } from './keeper.ts'
import type { Account, Programs } from './machine.ts'
import type { Passwords, Tuning } from './patroni-config.ts'
import { type PatroniNode, preparePatroniNode } from './patroni-node.ts'
import { until } from './until.ts'
import type { Plain } from './yaml-text.ts'

const REST_READY_MS = 15_000
const CLUSTER_READY_MS = 90_000
const PATRONICTL_LIMIT_MS = 120_000

export type ClusterPlan = {
  readonly scope: string
  readonly nodes: readonly {
    readonly name: string
    readonly postgresPort: number
    readonly restPort: number
    readonly tags?: Readonly<Record<string, Plain>>
  }[]
  /** `host:port` each. */
  readonly etcdHosts: readonly string[]
  readonly tuning: Tuning
  readonly parameters?: Readonly<Record<string, Plain>>
}

export type Outcome = { readonly code: number; readonly output: string }

export type PatroniCluster = {
  readonly scope: string
  readonly etcdHosts: readonly string[]
  readonly nodes: readonly PatroniNode[]
  readonly passwords: Passwords
  node(name: string): PatroniNode
  /** Name of the member that Patroni shows as running leader out of recovery, or null. */
  leader(): Promise<string | null>
  /** Waits until one leads, out of recovery, and returns its name. */
  awaitLeader(limitMs?: number, other?: string): Promise<string>
  /** Waits until one leads and all others of the named nodes (default all) stream from it. */
  awaitHealthy(limitMs?: number): Promise<string>
  /** `patronictl switchover --force`, to a named candidate or to the best; names the new leader. */
  switchover(candidate?: string): Promise<string>
  patronictl(args: readonly string[]): Promise<Outcome>
  /** URL of the application's user on one node itself, past every router. */
  appUrl(host: string, port: number): string
  superuserUrl(host: string, port: number): string
}

export type ClusterTools = {
  readonly keeper: Keeper
  readonly programs: Programs
  readonly account: Account | null
}

/** Starts all nodes, the first a little earlier so that it leads, and makes the application's user. */
export async function startPatroniCluster(
  tools: ClusterTools,
  plan: ClusterPlan,
): Promise<PatroniCluster> {
  const passwords = makePasswords()
  const nodes = plan.nodes.map(({ name, postgresPort, restPort, tags = {} }) =>
    preparePatroniNode(
      tools.keeper,
      tools.programs.patroni,
      {
        scope: plan.scope,
        name,
        dir: join(tools.keeper.dir, name),
        postgresPort,
        restPort,
        etcdHosts: plan.etcdHosts,
        postgresBin: tools.programs.postgresBin,
        passwords,
        tuning: plan.tuning,
        parameters: plan.parameters ?? {},
        tags,
      },
      tools.account,
    ),
  )
  const cluster = describeCluster(tools, plan, nodes, passwords)
  await startNodes(nodes)
  await cluster.awaitHealthy(CLUSTER_READY_MS)
  await createAppUser(cluster)
  return cluster
}

async function startNodes([first, ...others]: readonly PatroniNode[]): Promise<void> {
  first?.start()
  await until(() => first?.status(), {
    limitMs: REST_READY_MS,
    what: `answer of Patroni on ${first?.rest}`,
  })
  for (const node of others) node.start()
}

function describeCluster(
  { programs }: ClusterTools,
  plan: ClusterPlan,
  nodes: readonly PatroniNode[],
  passwords: Passwords,
): PatroniCluster {
  const cluster: PatroniCluster = {
    scope: plan.scope,
    etcdHosts: plan.etcdHosts,
    nodes,
    passwords,
    node(name) {
      const node = nodes.find((candidate) => candidate.name === name)
      if (node === undefined) throw new Error(`no node ${name}`)
      return node
    },
    leader: () => findLeader(nodes),
    awaitLeader: (limitMs = CLUSTER_READY_MS, other) =>
      until(
        async () => {
          const leader = await findLeader(nodes)
          return leader === other ? null : leader
        },
        { limitMs, what: other === undefined ? 'leader' : `leader other than ${other}` },
      ),
    awaitHealthy: (limitMs = CLUSTER_READY_MS) =>
      until(() => healthyLeader(nodes), {
        limitMs,
        what: `leader with ${nodes.length - 1} streaming replicas`,
        everyMs: 100,
      }),
    async switchover(candidate) {
      const before = await cluster.awaitLeader()
      const to = candidate === undefined ? [] : ['--candidate', candidate]
      const args = ['switchover', plan.scope, '--force', ...to]
      const { code, output } = await cluster.patronictl(args)
      if (code !== 0 || /failed/i.test(output)) throw new Error(`switchover: ${output}`)
      return cluster.awaitLeader(30_000, before)
    },
    patronictl: (args) =>
      runPatronictl(programs.patronictl, ['-c', nodes[0]?.config ?? '', ...args]),
    appUrl: (host, port) => `postgresql://app:${passwords.app}@${host}:${port}/app`,
    superuserUrl: (host, port) =>
      `postgresql://postgres:${passwords.superuser}@${host}:${port}/postgres`,
  }
  return cluster
}

function makePasswords(): Passwords {
  const make = () => randomBytes(9).toString('hex')
  return { superuser: make(), replication: make(), rewind: make(), app: make() }
}

/** By the nodes' own words: running, and out of recovery (Patroni calls that `master` or `primary`). */
async function findLeader(nodes: readonly PatroniNode[]): Promise<string | null> {
  const states = await Promise.all(nodes.map((node) => node.status()))
  const primaries = nodes.filter((_, index) => isPrimary(states[index] ?? null))
  return primaries.length === 1 ? (primaries[0]?.name ?? null) : null
}

async function healthyLeader(nodes: readonly PatroniNode[]): Promise<string | null> {
  const states = await Promise.all(nodes.map((node) => node.status()))
  const leader = nodes.find((_, index) => isPrimary(states[index] ?? null))
  const streams = states.find(isPrimary)?.['replication']
  const streaming = Array.isArray(streams)
    ? streams.filter((stream) => (stream as { state?: unknown }).state === 'streaming').length
    : 0
  const running = states.filter((state) => state?.['state'] === 'running').length
  const whole = running === nodes.length && streaming >= nodes.length - 1
  return leader !== undefined && whole ? leader.name : null
}

function isPrimary(state: Readonly<Record<string, unknown>> | null): boolean {
  return (
    state !== null &&
    state['state'] === 'running' &&
    (state['role'] === 'master' || state['role'] === 'primary')
  )
}

function runPatronictl(program: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: PATRONICTL_LIMIT_MS,
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
    })
    const parts: Buffer[] = []
    child.stdout.on('data', (part: Buffer) => parts.push(part))
    child.stderr.on('data', (part: Buffer) => parts.push(part))
    child.once('error', reject)
    child.once('close', (code) =>
      resolve({ code: code ?? 1, output: Buffer.concat(parts).toString() }),
    )
  })
}

/** `app` owns the database `app`; it may also take base backups and watch the server. */
async function createAppUser(cluster: PatroniCluster): Promise<void> {
  const leader = cluster.node(await cluster.awaitLeader())
  const { host, port } = leader.postgres
  const client = new pg.Client({ connectionString: cluster.superuserUrl(host, port) })
  await client.connect()
  try {
    await client.query(`CREATE ROLE app LOGIN REPLICATION PASSWORD '${cluster.passwords.app}'`)
    await client.query('GRANT pg_monitor, pg_signal_backend TO app')
    await client.query('CREATE DATABASE app OWNER app')
  } finally {
    await client.end()
  }
}
