/**
 * `npm run bench`: what a proxy costs. Direct, HAProxy, PgBouncer and pgsteer in front of one
 * PostgreSQL, in one run and under the same load; figures, ratios to HAProxy, and the goals.
 */
import { loadavg } from 'node:os'
import type { Rig } from '../rig/processes.ts'
import { appendHistory, describeMachine } from './kit/history.ts'
import { runBench, say } from './kit/session.ts'
import { CONTENDERS, type Contender, startContenders } from './proxy/contenders.ts'
import { FigureBook, type FigureReport, reportFigure } from './proxy/figures.ts'
import { HELP, type Options, type Part, parseOptions } from './proxy/options.ts'
import {
  runConnections,
  runCopy,
  runIdleDaemon,
  runIdleMemory,
  runTransactions,
  type Scene,
} from './proxy/parts.ts'
import { reportText } from './proxy/report.ts'
import { registerLeader, startBenchEtcd, startBenchPostgres } from './proxy/server.ts'

const SESSIONS_MAX = 250

const RUN: Readonly<Record<Part, (scene: Scene) => Promise<void>>> = {
  transactions: runTransactions,
  connections: runConnections,
  copy: runCopy,
  'idle-memory': runIdleMemory,
  'idle-daemon': runIdleDaemon,
}

async function bench(rig: Rig, interrupted: AbortSignal, options: Options): Promise<void> {
  const about = describeMachine(rig.programs.postgresBin)
  const etcd = await startBenchEtcd(rig)
  const postgres = await startBenchPostgres(rig)
  await fillAccounts(rig, postgres.port)
  const cluster = await registerLeader(rig, etcd, 'bench', postgres.port)
  const backend = { port: postgres.port, cluster, sessionsMax: SESSIONS_MAX }
  const started = await startContenders(rig, CONTENDERS, backend, { ...options, label: 'main' })
  for (const name of started.absent) say(`${name} is not installed: left out`)
  const { contenders } = started
  const book = new FigureBook()
  const scene = { rig, options, etcd, postgres, book, contenders, say, interrupted }
  for (const part of options.parts) await RUN[part](scene)
  const reports = book.list().map(reportFigure)
  const entry = {
    ...about,
    loadAfter: loadavg().map((load) => Math.round(load * 100) / 100),
    options: { ...options, main: options.main === null ? null : 'other' },
    setups: Object.fromEntries(contenders.map(({ name, setup }) => [name, setup])),
    figures: Object.fromEntries(book.list().map(({ key, samples }) => [key, rounded(samples)])),
    verdicts: verdicts(reports),
  }
  if (options.keep) say(`appended to ${appendHistory('proxy', entry)}`)
  if (options.json) process.stdout.write(`${JSON.stringify({ ...entry, reports })}\n`)
  else print(about, contenders, reports)
}

async function fillAccounts(rig: Rig, port: number): Promise<void> {
  const where = ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres']
  const program = `${rig.programs.postgresBin}/pgbench`
  const child = rig.start(program, ['-i', '-s', '1', '-q', ...where, 'postgres'])
  const { code } = await child.ended
  if (code !== 0) throw new Error(`pgbench -i ended with ${code}`)
}

function print(
  { machine, versions }: ReturnType<typeof describeMachine>,
  contenders: readonly Contender[],
  reports: readonly FigureReport[],
): void {
  const out = (line: string) => process.stdout.write(`${line}\n`)
  out(
    `${machine.cpu}, ${machine.cores} cores, load ${machine.loadBefore[0]}; ` +
      `PostgreSQL ${versions.postgres}, HAProxy ${versions.haproxy}, ` +
      `PgBouncer ${versions.pgbouncer}, pgsteer ${versions.pgsteer} on Node ${versions.node}`,
  )
  for (const { name, setup } of contenders) out(`  ${name}: ${setup}`)
  const names = contenders.map(({ name }) => name)
  out('')
  process.stdout.write(reportText(reports, names))
}

function verdicts(reports: readonly FigureReport[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    reports.flatMap(({ key, verdict }) => (verdict === null ? [] : [[key, verdict]])),
  )
}

/** Four figures are more than any of this is worth. */
function rounded(samples: Readonly<Record<string, readonly (number | null)[]>>) {
  return Object.fromEntries(
    Object.entries(samples).map(([name, values]) => [
      name,
      values.map((value) => (value === null ? null : Number(value.toPrecision(4)))),
    ]),
  )
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
