/**
 * `npm run bench:failover`: what a failover costs clients. One stock Patroni cluster, HAProxy and
 * pgsteer in front of it at the same time, a fleet of writers behind each, and the same failovers
 * for both.
 */
import { join } from 'node:path'
import pg from 'pg'
import { mainScript, preparePgsteerNode } from '../../src/app/demo/pgsteer-node.ts'
import { type PatroniRig, startPatroni } from '../rig/patroni.ts'
import type { Rig } from '../rig/processes.ts'
import { until } from '../rig/wait.ts'
import { type Arena, runEvent } from './failover/event.ts'
import { startFleet } from './failover/fleet-process.ts'
import { observe } from './failover/observer.ts'
import { HAPROXY_CHECKS, HELP, type Options, parseOptions } from './failover/options.ts'
import type { Outcome } from './failover/outcome.ts'
import { startReference } from './failover/reference.ts'
import { reportText, summarizeFleet } from './failover/report.ts'
import { appendHistory, describeMachine } from './kit/history.ts'
import { runBench, say } from './kit/session.ts'

const FLEETS = ['haproxy', 'pgsteer'] as const
const READY_MS = 30_000
const PROBE_MS = 20

async function bench(rig: Rig, interrupted: AbortSignal, options: Options): Promise<void> {
  const about = describeMachine(rig.programs.postgresBin)
  say('starting etcd and three Patroni nodes')
  const patroni = await startPatroni(rig, { scope: 'bench' })
  await createTable(patroni)
  const ports = {
    haproxy: startReference(rig, patroni, options.haproxy),
    pgsteer: await startOurs(rig, patroni, options),
  }
  const servers = patroni.nodes.map(({ postgres: { host, port } }) => ({
    port,
    url: patroni.superuserUrl(host, port),
  }))
  const observer = observe(servers)
  const fleets = []
  for (const fleet of FLEETS) {
    const url = patroni.appUrl('127.0.0.1', ports[fleet])
    await until(() => isWritable(url), { limitMs: READY_MS, what: `write through ${fleet}` })
    const { writers, paceMs } = options
    fleets.push(await startFleet(rig, { fleet, url, writers, paceMs, probeMs: PROBE_MS }))
  }
  const arena: Arena = { patroni, fleets, observer, writers: options.writers }
  const outcomes = await runAll(arena, options, interrupted)
  await observer.stop()
  report(about, options, outcomes)
}

async function runAll(
  arena: Arena,
  options: Options,
  interrupted: AbortSignal,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  for (let round = 1; round <= options.rounds; round++) {
    for (const kind of options.kinds) {
      interrupted.throwIfAborted()
      say(`round ${round} of ${options.rounds}: ${kind}`)
      const both = await runEvent(arena, kind, round)
      for (const { fleet, gapMs, firstWriteMs } of both) {
        const first = firstWriteMs === null ? 'none' : `${firstWriteMs.toFixed(1)} ms`
        say(`  ${fleet}: ${gapMs.toFixed(0)} ms without a write; first after writable: ${first}`)
      }
      outcomes.push(...both)
    }
  }
  return outcomes
}

async function createTable(patroni: PatroniRig): Promise<void> {
  const { host, port } = patroni.node(await patroni.awaitLeader()).postgres
  const client = new pg.Client({ connectionString: patroni.appUrl(host, port) })
  await client.connect()
  try {
    await client.query('CREATE TABLE bench_writes (fleet text, id bigint, PRIMARY KEY (fleet, id))')
  } finally {
    await client.end()
  }
}

async function startOurs(rig: Rig, patroni: PatroniRig, { main }: Options): Promise<number> {
  const port = rig.takePorts(1)
  const node = preparePgsteerNode(rig.keeper, {
    scope: patroni.scope,
    name: 'r1',
    dir: join(rig.dir, 'router'),
    etcdHosts: patroni.etcdHosts,
    restPort: rig.takePorts(1),
    listeners: [{ name: 'write', port, target: 'primary' }],
  })
  const script = main ?? mainScript()
  rig.start(process.execPath, [script, 'run', node.config], { log: node.log })
  return port
}

async function isWritable(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 })
  client.on('error', () => undefined) // asked again
  try {
    await client.connect()
    await client.query("INSERT INTO bench_writes VALUES ('start', (random() * 1e15)::bigint)")
    return true
  } finally {
    await client.end().catch(() => undefined)
  }
}

function report(
  about: ReturnType<typeof describeMachine>,
  options: Options,
  outcomes: readonly Outcome[],
): void {
  const summaries = options.kinds.map((kind) => [
    kind,
    Object.fromEntries(
      FLEETS.map((fleet) => [
        fleet,
        summarizeFleet(outcomes.filter((it) => it.kind === kind && it.fleet === fleet)),
      ]),
    ),
  ])
  const entry = {
    ...about,
    options: { ...options, main: options.main === null ? null : 'other' },
    figures: Object.fromEntries(summaries),
  }
  if (options.keep) say(`appended to ${appendHistory('failover', entry)}`)
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ ...entry, outcomes })}\n`)
    return
  }
  const { inter, fall, rise } = HAPROXY_CHECKS[options.haproxy]
  const more = options.haproxy === 'tuned' ? ', redispatch 1, timeout connect 250ms' : ''
  const { machine, versions } = about
  process.stdout.write(
    `${machine.cpu}, ${machine.cores} cores; Patroni ${versions.patroni}, ` +
      `PostgreSQL ${versions.postgres}, HAProxy ${versions.haproxy} (inter ${inter} fall ${fall} ` +
      `rise ${rise} on-marked-down shutdown-sessions${more}), pgsteer ${versions.pgsteer}; ` +
      `${options.writers} writers each, one write every ${options.paceMs} ms and writer\n\n`,
  )
  process.stdout.write(reportText(outcomes, FLEETS))
}

let options: Options | null = null
try {
  options = parseOptions(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n${HELP}`)
  process.exit(2)
}
if (options === null) process.stdout.write(HELP)
else {
  const given = options
  process.exit(await runBench((rig, interrupted) => bench(rig, interrupted, given)))
}
