/** pgbench against one contender, with what it cost the contender's processes. */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Rig } from '../../rig/processes.ts'
import { parseFailures, parseLog } from '../kit/pgbench-text.ts'
import { cpuUs, processTree } from '../kit/proc.ts'
import { percentile } from '../kit/stats.ts'
import { measureFor } from '../kit/wait.ts'
import type { Contender } from './contenders.ts'

export type Load = {
  readonly clients: number
  readonly mode: 'simple' | 'prepared'
  /** A connection for every transaction. */
  readonly reconnect: boolean
  readonly seconds: number
  /** A file with pgbench's own script; default: `-S`, a SELECT by key. */
  readonly script?: string
}

export type LoadResult = {
  readonly perSecond: number
  readonly p50Us: number | null
  readonly p99Us: number | null
  /** Null without a proxy. */
  readonly cpuUsEach: number | null
}

/** Connections are made and code is warm before the window opens; it closes before the load ends. */
const SETTLE_MS = 400
const TAIL_MS = 150
const EXIT_LIMIT_MS = 20_000

let runs = 0

/**
 * Runs the load and looks at a window in its middle: only transactions that ended inside count, and
 * only the CPU time spent inside. Throws when pgbench fails or any transaction does.
 */
export async function runLoad(rig: Rig, contender: Contender, load: Load): Promise<LoadResult> {
  const prefix = `pgbench-${++runs}`
  const output = join(rig.dir, `${prefix}.out`)
  const program = join(rig.programs.postgresBin, 'pgbench')
  const args = pgbenchArgs(contender.port, load, join(rig.dir, prefix))
  const child = rig.start(program, args, { log: output })
  await measureFor(SETTLE_MS)
  const pids = processTree(contender.pids)
  const [from, costBefore] = [Date.now(), cpuUs(pids)]
  await measureFor(load.seconds * 1000)
  const [to, costAfter] = [Date.now(), cpuUs(pids)]
  const late = setTimeout(() => child.signal('SIGKILL'), EXIT_LIMIT_MS)
  const { code } = await child.ended
  clearTimeout(late)
  const summary = readFileSync(output, 'utf8')
  if (code !== 0 || parseFailures(summary) !== 0) {
    throw new Error(`pgbench through ${contender.name} failed (${code}): ${summary.slice(-2000)}`)
  }
  const { count, latenciesUs } = takeLogs(rig.dir, prefix, from, to)
  return {
    perSecond: count / ((to - from) / 1000),
    p50Us: percentile(latenciesUs, 50),
    p99Us: percentile(latenciesUs, 99),
    cpuUsEach: contender.pids.length === 0 || count === 0 ? null : (costAfter - costBefore) / count,
  }
}

function pgbenchArgs(port: number, load: Load, logPrefix: string): readonly string[] {
  const { clients, mode, reconnect, seconds } = load
  const total = Math.ceil(seconds + (SETTLE_MS + TAIL_MS) / 1000)
  return [
    ...['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', '-n'],
    ...(load.script === undefined ? ['-S'] : ['-f', load.script]),
    ...['-M', mode, '-c', String(clients), '-j', String(Math.min(clients, availableParallelism()))],
    ...['-T', String(total), '-l', '--log-prefix', logPrefix],
    ...(reconnect ? ['-C'] : []),
    'postgres',
  ]
}

/** One log file for each thread; removed when read. */
function takeLogs(dir: string, prefix: string, from: number, to: number) {
  const window = { fromUs: from * 1000, toUs: to * 1000 }
  let count = 0
  const latenciesUs: number[] = []
  for (const name of readdirSync(dir).filter((it) => it.startsWith(`${prefix}.`))) {
    if (name === `${prefix}.out`) continue
    const found = parseLog(readFileSync(join(dir, name), 'utf8'), window)
    rmSync(join(dir, name))
    count += found.count
    for (const latency of found.latenciesUs) latenciesUs.push(latency)
  }
  return { count, latenciesUs }
}
