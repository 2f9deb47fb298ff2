/** Cost of a tree of processes, read from `/proc`. */
import { readdirSync, readFileSync } from 'node:fs'
import {
  descendants,
  type Memory,
  parseSchedstat,
  parseSmapsRollup,
  parseStat,
} from './proc-text.ts'

const TICK_NS = 10_000_000

/** The processes below `roots` now, the roots included. */
export function processTree(roots: readonly number[]): readonly number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? parseStat(read(`/proc/${name}/stat`)) : null
    if (stat !== null) parents.set(Number(name), stat.parent)
  }
  return [...new Set(roots.flatMap((root) => descendants(root, parents)))]
}

/**
 * CPU time in µs of these processes so far, all threads. From the scheduler's nanoseconds where the
 * kernel keeps them; the clock ticks of `stat` are a hundredth of a second.
 */
export function cpuUs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (schedUs(pid) ?? ticksUs(pid)), 0)
}

export function memory(pids: readonly number[]): Memory {
  const all = pids.map((pid) => parseSmapsRollup(read(`/proc/${pid}/smaps_rollup`)))
  return {
    rssKb: all.reduce((sum, it) => sum + (it?.rssKb ?? 0), 0),
    pssKb: all.reduce((sum, it) => sum + (it?.pssKb ?? 0), 0),
  }
}

/** A thread that ends takes its nanoseconds along; the proxies' threads live as long as they do. */
function schedUs(pid: number): number | null {
  const threads = list(`/proc/${pid}/task`).map((thread) =>
    parseSchedstat(read(`/proc/${pid}/task/${thread}/schedstat`)),
  )
  if (threads.length === 0 || threads.every((ns) => ns === null)) return null
  return threads.reduce<number>((sum, ns) => sum + (ns ?? 0), 0) / 1000
}

function ticksUs(pid: number): number {
  return ((parseStat(read(`/proc/${pid}/stat`))?.ticks ?? 0) * TICK_NS) / 1000
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it ended
  }
}

function list(path: string): readonly string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
