/** A stock Patroni cluster on one etcd, all of it on ports of the rig; see the demo's builder. */
import { readFileSync } from 'node:fs'
import { startEtcd } from '../../src/app/demo/etcd.ts'
import type { Child } from '../../src/app/demo/keeper.ts'
import { type PatroniCluster, startPatroniCluster } from '../../src/app/demo/patroni-cluster.ts'
import { TUNING, type Tuning } from '../../src/app/demo/patroni-config.ts'
import type { Plain } from '../../src/app/demo/yaml-text.ts'
import type { Rig } from './processes.ts'
import { until } from './wait.ts'

export type PatroniOptions = {
  readonly scope?: string
  /** How many, named n1, n2, ...; default 3. */
  readonly nodes?: number
  readonly tuning?: Partial<Tuning>
  /** Server parameters. */
  readonly parameters?: Readonly<Record<string, Plain>>
  /** Tags by node name. */
  readonly tags?: Readonly<Record<string, Readonly<Record<string, Plain>>>>
  /** `host:port` of an etcd to use; default: one of its own. */
  readonly etcdHosts?: readonly string[]
}

export type PatroniRig = PatroniCluster & {
  /** Null when the etcd is not ours. */
  readonly etcd: { readonly endpoint: string; readonly child: Child } | null
  /** SIGKILL to the postmaster of a node; resolves when it is gone with its backends. */
  killPostmaster(name: string): Promise<void>
  /** SIGKILL to Patroni and PostgreSQL of a node at once, as a power cut does. */
  killNode(name: string): Promise<void>
}

/** Returns when one leads and all others stream from it. */
export async function startPatroni(rig: Rig, options: PatroniOptions = {}): Promise<PatroniRig> {
  const names = Array.from({ length: options.nodes ?? 3 }, (_, index) => `n${index + 1}`)
  const etcd = options.etcdHosts === undefined ? await startOwnEtcd(rig) : null
  const cluster = await startPatroniCluster(rig, {
    scope: options.scope ?? 'demo',
    nodes: names.map((name) => ({
      name,
      postgresPort: rig.takePorts(1),
      restPort: rig.takePorts(1),
      tags: options.tags?.[name] ?? {},
    })),
    etcdHosts: options.etcdHosts ?? (etcd === null ? [] : [new URL(etcd.endpoint).host]),
    tuning: { ...TUNING, ...options.tuning },
    parameters: options.parameters ?? {},
  })
  return {
    ...cluster,
    etcd,
    killPostmaster: (name) => allGone(cluster.node(name).killPostmaster()),
    killNode: (name) => allGone(cluster.node(name).killAll()),
  }
}

function startOwnEtcd(rig: Rig) {
  const port = rig.takePorts(2)
  const ports = { client: port, peer: port + 1 }
  return startEtcd(rig.keeper, rig.programs.etcd, ports, rig.account)
}

async function allGone(pids: readonly number[]): Promise<void> {
  const what = `end of the processes ${pids.join(', ')}`
  await until(() => !pids.some(isRunning), { limitMs: 5000, what, everyMs: 5 })
}

/** A zombie counts as gone: who reaps orphans may take its time. */
function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !/^ [ZX]/.test(stat.slice(stat.lastIndexOf(')') + 1))
  } catch {
    return false
  }
}
