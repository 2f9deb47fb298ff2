/** One etcd for a local cluster. */
import { join } from 'node:path'
import type { Child, Keeper } from './keeper.ts'
import type { Account } from './machine.ts'
import { until } from './until.ts'

export type DemoEtcd = { readonly endpoint: string; readonly child: Child }

/** Starts etcd below `<dir>/etcd` and returns once it answers. */
export async function startEtcd(
  keeper: Keeper,
  program: string,
  ports: { readonly client: number; readonly peer: number },
  account: Account | null,
): Promise<DemoEtcd> {
  const dir = join(keeper.dir, 'etcd')
  keeper.makeDir(dir, account)
  const endpoint = `http://127.0.0.1:${ports.client}`
  const peer = `http://127.0.0.1:${ports.peer}`
  const options = {
    name: 'e1',
    'data-dir': join(dir, 'data'),
    'listen-client-urls': endpoint,
    'advertise-client-urls': endpoint,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `e1=${peer}`,
  }
  const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`)
  const child = keeper.start(program, args, { log: join(dir, 'etcd.log'), account })
  await until(() => child.isAlive() && isHealthy(endpoint), {
    limitMs: 15_000,
    what: `answer of etcd on ${endpoint} (see ${dir}/etcd.log)`,
  })
  return { endpoint, child }
}

async function isHealthy(endpoint: string): Promise<boolean> {
  const reply = await fetch(`${endpoint}/health`, { signal: AbortSignal.timeout(1000) })
  return (await reply.text()).includes('true')
}
