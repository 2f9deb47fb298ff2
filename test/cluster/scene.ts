/** A real Patroni cluster with routers in front, for the tests of one file, which share it in order. */
import { readFileSync } from 'node:fs'
import type { PgsteerNode } from '../../src/app/demo/pgsteer-node.ts'
import type { RouterReport } from '../../src/core/api/router-report.ts'
import { type PatroniOptions, type PatroniRig, startPatroni } from '../rig/patroni.ts'
import { type PgsteerOptions, startPgsteer } from '../rig/pgsteer.ts'
import { makeRig, type Rig } from '../rig/processes.ts'
import { until } from '../rig/wait.ts'
import { Load } from './load.ts'

/** A hold longer than any election here: clients wait, and nobody is told "no". */
const ROUTER = { hold: { timeout: '90s' } }

export type Scene = {
  readonly rig: Rig
  readonly cluster: PatroniRig
  readonly routers: readonly PgsteerNode[]
  /** URL of a listener of a router, the first by default. */
  url(listener: string, router?: number): string
  /** Port of a member's PostgreSQL. */
  port(member: string): number
  /** Applications that end with the scene at the latest. */
  newLoad(): Load
  end(): Promise<void>
}

export async function openScene(
  options: PatroniOptions & {
    readonly routers?: number
    readonly router?: PgsteerOptions['router']
  },
): Promise<Scene> {
  const rig = await makeRig()
  try {
    const cluster = await startPatroni(rig, options)
    const names = Array.from({ length: options.routers ?? 1 }, (_, index) => `r${index + 1}`)
    const { etcdHosts } = cluster
    const router = { ...ROUTER, ...options.router }
    const routers = await Promise.all(
      names.map((name) => startPgsteer(rig, { name, etcdHosts, router })),
    )
    return {
      rig,
      cluster,
      routers,
      url: (listener, router = 0) => urlOf(cluster, routers[router]!, listener),
      port: (member) => cluster.node(member).postgres.port,
      newLoad() {
        const load = new Load()
        rig.defer(() => load.abandon())
        return load
      },
      end: () => rig.end(),
    }
  } catch (error) {
    await rig.end()
    throw error
  }
}

export function urlOf(cluster: PatroniRig, router: PgsteerNode, listener: string): string {
  const [host = '', port = ''] = router.listeners[listener]?.split(':') ?? []
  return cluster.appUrl(host, Number(port))
}

/** `GET /router`. */
export async function report(router: PgsteerNode): Promise<RouterReport> {
  const reply = await fetch(`${router.rest}/router`, { signal: AbortSignal.timeout(5000) })
  return (await reply.json()) as RouterReport
}

/** Waits until the report is as wanted. */
export function reported(
  router: PgsteerNode,
  what: string,
  isIt: (it: RouterReport) => boolean,
  limitMs = 30_000,
): Promise<RouterReport> {
  return until(
    async () => {
      const it = await report(router)
      return isIt(it) && it
    },
    { limitMs, what },
  )
}

/** How the listener's own route looks: `held <cause>` or `open <members>`. */
export function routeOf(it: RouterReport, listener: string): string {
  const route = it.listeners.find(({ name }) => name === listener)?.route
  if (route === undefined) return 'none'
  if (route.kind === 'held') return `held ${route.cause}`
  return `open ${route.backends.map(({ member }) => member).join(' ')}`
}

export type LogLine = {
  readonly level: string
  readonly msg: string
  readonly [key: string]: unknown
}

/** The log of a router so far, from line `from` on. */
export function logOf(router: PgsteerNode, from = 0): LogLine[] {
  return readFileSync(router.log, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .slice(from)
    .map((line) => JSON.parse(line) as LogLine)
}
