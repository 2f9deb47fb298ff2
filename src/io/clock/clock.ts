/** Time and timers. `nowMs` reads like Unix time but never jumps: it counts on from the start. */

export type Clock = {
  nowMs(): number
  /** Calls back once after `delayMs`; the answer cancels. Keeps the process alive. */
  after(delayMs: number, callback: () => void): () => void
  /** Calls back every `periodMs` until cancelled. */
  every(periodMs: number, callback: () => void): () => void
}

/** Node's timers (24.8 days); a longer one would fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1

const startMs = Date.now() - performance.now()

/** A time read from `performance.now()`, on this clock. */
export function fromPerformance(ms: number): number {
  return startMs + ms
}

export const systemClock: Clock = {
  nowMs: () => startMs + performance.now(),
  after(delayMs, callback) {
    let timer: NodeJS.Timeout
    const arm = (leftMs: number) => {
      const laterMs = leftMs - TIMER_MAX_MS
      timer =
        laterMs > 0 ? setTimeout(() => arm(laterMs), TIMER_MAX_MS) : setTimeout(callback, leftMs)
    }
    arm(Math.max(0, delayMs))
    return () => clearTimeout(timer)
  },
  every(periodMs, callback) {
    const timer = setInterval(callback, periodMs)
    return () => clearInterval(timer)
  },
}
