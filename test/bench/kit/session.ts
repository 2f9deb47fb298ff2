/** One benchmark run from start to end: a rig, Ctrl-C, and a clean machine afterwards. */
import { makeRig, type Rig } from '../../rig/processes.ts'

/**
 * Runs `work` with a rig of its own. Returns the exit code: 0 done, 1 failed, 130 interrupted. All
 * that was started is ended in each case.
 */
export async function runBench(
  work: (rig: Rig, interrupted: AbortSignal) => Promise<void>,
): Promise<number> {
  const controller = new AbortController()
  const { signal } = controller
  const rig = await makeRig()
  const stop = () => controller.abort(new Error('interrupted'))
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop)
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  const working = work(rig, signal)
  try {
    await Promise.race([working, aborted])
    return 0
  } catch (error) {
    working.catch(() => undefined) // what it waits for is being ended
    if (signal.aborted) return 130
    process.stderr.write(`bench: ${describe(error)}\n`)
    return 1
  } finally {
    await rig.end()
  }
}

export function say(line: string): void {
  process.stderr.write(`bench: ${line}\n`)
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause === undefined ? '' : `: ${describe(error.cause)}`
  return `${error.stack ?? error.message}${cause}`
}
