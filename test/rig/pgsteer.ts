/** A pgsteer daemon in front of a Patroni cluster, with a configuration made for the test. */
import { join } from 'node:path'
import {
  type ListenerPlan,
  type PgsteerNode,
  preparePgsteerNode,
} from '../../src/app/demo/pgsteer-node.ts'
import type { Plain } from '../../src/app/demo/yaml-text.ts'
import type { Rig } from './processes.ts'

export type PgsteerOptions = {
  readonly name?: string
  readonly scope?: string
  /** `host:port` each; a Patroni rig has them as `etcdHosts`. */
  readonly etcdHosts: readonly string[]
  /** Without ports, which are taken here; default: write and read as in the demo. */
  readonly listeners?: readonly Omit<ListenerPlan, 'port'>[]
  /** More keys of the `router` section. */
  readonly router?: Readonly<Record<string, Plain>>
  /** Return without waiting for `GET /health`. */
  readonly wait?: boolean
}

const LISTENERS: readonly Omit<ListenerPlan, 'port'>[] = [
  { name: 'write', target: 'primary' },
  { name: 'read', target: 'replica', more: { fallback: 'primary', max_lag: '16MB' } },
]

export async function startPgsteer(rig: Rig, options: PgsteerOptions): Promise<PgsteerNode> {
  const name = options.name ?? 'r1'
  const node = preparePgsteerNode(rig.keeper, {
    scope: options.scope ?? 'demo',
    name,
    dir: join(rig.dir, `router-${name}`),
    etcdHosts: options.etcdHosts,
    restPort: rig.takePorts(1),
    listeners: (options.listeners ?? LISTENERS).map((listener) => ({
      ...listener,
      port: rig.takePorts(1),
    })),
    router: options.router ?? {},
  })
  node.start()
  if (options.wait !== false) await node.awaitHealthy()
  return node
}
