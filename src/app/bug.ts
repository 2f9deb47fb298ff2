/**
 * The end of a control process that met a bug of its own. It must come: workers go on by their last
 * table, and only the next control process can bring another. A log that nobody reads must not stop
 * it, not even in the kernel, where a write that waits holds up every orderly exit.
 */
import type { OpenLog } from '../io/telemetry/log.ts'

/** How long the last line may take to be written. */
const LAST_LINE_MS = 500

/** On whatever nobody caught: acts no more (`stopActing`), says why and ends, with 1 where it can. */
export function endOnBug(log: OpenLog, stopActing: () => void): void {
  process.once('uncaughtException', (error) => {
    process.on('uncaughtException', () => undefined) // it is over already
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), LAST_LINE_MS)
    log.fatal({ err: error }, 'this is a bug: the control process ends, workers go on')
    log.onWritten(() => process.exit(1))
    try {
      stopActing()
    } catch {
      // What is broken may fail here too: the end comes anyway.
    }
  })
}
