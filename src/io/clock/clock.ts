/** Time and timers. `nowMs` reads like Unix time but never jumps: it counts on from the start. */

export type Clock = {
  nowMs(): number
  /** Calls back once after `delayMs`; the answer cancels. Keeps the process alive. */
  after(delayMs: number, callback: () => void): () => void
  /** Calls back every `periodMs` until cancelled. */
  every(periodMs: number, callback: () => void): () => void
}

const startMs = Date.now() - performance.now()

/** A time read from `performance.now()`, on this clock. */
export function fromPerformance(ms: number): number {
  return startMs + ms
}

export const systemClock: Clock = {
  nowMs: () => startMs + performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.max(0, delayMs))
    return () => clearTimeout(timer)
  },
  every(periodMs, callback) {
    const timer = setInterval(callback, periodMs)
    return () => clearInterval(timer)
  },
}
