/** For how long something is measured. */
import { until } from '../../rig/wait.ts'

const LATE_MS = 60_000
/** A timer may fire this much early; it must not cost another turn. */
const EARLY_MS = 1

/** Resolves when `ms` have passed: measuring is waiting, with the load on. */
export async function measureFor(ms: number): Promise<void> {
  const end = performance.now() + ms - EARLY_MS
  const over = () => performance.now() >= end
  await until(over, { limitMs: ms + LATE_MS, what: 'end of the time', everyMs: Math.max(1, ms) })
}
