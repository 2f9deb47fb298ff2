/**
 * What this process costs: memory, CPU, and how late its event loop runs. The delay histogram is a
 * native timer; at 50 ms resolution it costs 20 wake-ups a second, too little to measure.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'

export type ProcessStats = {
  readonly rssBytes: number
  readonly cpuUs: number
  readonly eventLoopDelayMs: { readonly p50: number; readonly p99: number; readonly max: number }
}

const RESOLUTION_MS = 50
const NS_PER_MS = 1e6

/** Starts measuring; `read` answers for the time since the previous `read`. */
export function watchProcess(): { read(): ProcessStats; stop(): void } {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  let costs = { rssBytes: 0, cpuUs: 0 }
  const late = (ns: number) => Math.max(0, ns / NS_PER_MS - RESOLUTION_MS)
  return {
    read() {
      const empty = delay.count === 0
      const eventLoopDelayMs = {
        p50: empty ? 0 : late(delay.percentile(50)),
        p99: empty ? 0 : late(delay.percentile(99)),
        max: empty ? 0 : late(delay.max),
      }
      delay.reset()
      costs = readCosts() ?? costs
      return { ...costs, eventLoopDelayMs }
    },
    stop: () => void delay.disable(),
  }
}

/** Null when the kernel does not say: memory is read from a file, and descriptors may have run out. */
function readCosts(): Pick<ProcessStats, 'rssBytes' | 'cpuUs'> | null {
  try {
    const { user, system } = process.cpuUsage()
    return { rssBytes: process.memoryUsage.rss(), cpuUs: user + system }
  } catch {
    return null
  }
}
