/** A pgsteer daemon beside a member of a local cluster: its configuration, start and end. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Child, Keeper } from './keeper.ts'
import { until } from './until.ts'
import { type Plain, yamlText } from './yaml-text.ts'

export const HEALTH_LIMIT_MS = 20_000
const HEALTH_REPLY_MS = 1000
const RUN_DIR = 'run'
/** Two workers, so that what one of them suffers can be told from what all do. */
const WORKERS = 2

export type ListenerPlan = {
  readonly name: string
  readonly port: number
  readonly target: string
  readonly more?: Readonly<Record<string, Plain>>
}

export type PgsteerPlan = {
  readonly scope: string
  readonly name: string
  /** Where `pgsteer.yml`, the log and the run directory go; made when missing. */
  readonly dir: string
  readonly etcdHosts: readonly string[]
  readonly restPort: number
  readonly listeners: readonly ListenerPlan[]
  /** Further or other keys of the `router` section. */
  readonly router?: Readonly<Record<string, Plain>>
}

export type PgsteerNode = {
  readonly name: string
  readonly config: string
  readonly log: string
  readonly rest: string
  /** `host:port` by listener name. */
  readonly listeners: Readonly<Record<string, string>>
  /** The daemon started last. */
  daemon(): Child
  start(): Child
  /** Waits until `GET /health` says 200. */
  awaitHealthy(limitMs?: number): Promise<void>
  /** Ends the daemon with its workers. */
  stop(): Promise<void>
}

/** The configuration file of a router-only node. */
export function pgsteerConfig(plan: PgsteerPlan): { readonly [key: string]: Plain } {
  const rest = `127.0.0.1:${plan.restPort}`
  return {
    scope: plan.scope,
    namespace: '/service/',
    name: plan.name,
    etcd3: { hosts: plan.etcdHosts },
    restapi: { listen: rest, connect_address: rest },
    router: {
      workers: WORKERS,
      run_dir: join(plan.dir, RUN_DIR),
      listeners: plan.listeners.map(({ name, port, target, more = {} }) => ({
        name,
        listen: `127.0.0.1:${port}`,
        target,
        mode: 'tunnel',
        ...more,
      })),
      ...plan.router,
    },
  }
}

/** Writes the configuration; nothing runs yet. */
export function preparePgsteerNode(keeper: Keeper, plan: PgsteerPlan): PgsteerNode {
  const config = join(plan.dir, 'pgsteer.yml')
  const log = join(plan.dir, 'pgsteer.log')
  keeper.makeDir(plan.dir, null)
  keeper.writeFile(config, yamlText(pgsteerConfig(plan)), null)
  const rest = `http://127.0.0.1:${plan.restPort}`
  let child: Child | null = null
  const daemon = (): Child => {
    if (child === null) throw new Error(`pgsteer of ${plan.name} was not started`)
    return child
  }
  return {
    name: plan.name,
    config,
    log,
    rest,
    listeners: Object.fromEntries(
      plan.listeners.map((listener) => [listener.name, `127.0.0.1:${listener.port}`]),
    ),
    daemon,
    start() {
      child = keeper.start(process.execPath, [mainScript(), 'run', config], { log })
      return child
    },
    awaitHealthy: (limitMs = HEALTH_LIMIT_MS) => awaitHealthy(daemon(), rest, log, limitMs),
    async stop() {
      await daemon().stop('SIGTERM')
    },
  }
}

/** `src/main.ts` in a checkout, `dist/main.js` in the package. */
export function mainScript(): string {
  const file = import.meta.url.endsWith('.ts') ? '../../main.ts' : '../../main.js'
  return fileURLToPath(new URL(file, import.meta.url))
}

async function awaitHealthy(
  daemon: Child,
  rest: string,
  log: string,
  limitMs: number,
): Promise<void> {
  await until(
    async () => {
      if (!daemon.isAlive()) return 'ended'
      const reply = await fetch(`${rest}/health`, { signal: AbortSignal.timeout(HEALTH_REPLY_MS) })
      await reply.body?.cancel()
      return reply.status === 200
    },
    { limitMs, what: `healthy pgsteer on ${rest} (see ${log})` },
  )
  if (!daemon.isAlive()) throw new Error(`pgsteer ended at once (see ${log})`)
}
