/** Waiting for a condition of the outside world, with a limit; the only such loop here. */
import { setTimeout as pause } from 'node:timers/promises'

export type UntilOptions = {
  readonly limitMs: number
  /** What is waited for, as the end of "no ... within N ms". */
  readonly what: string
  readonly everyMs?: number
}

type Nothing = null | undefined | false

/**
 * Asks `condition` again and again until it answers something other than null, undefined or false,
 * and returns that. A condition that throws counts as "not yet"; the last reason is told when the
 * limit is reached.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { limitMs, what, everyMs = 50 }: UntilOptions,
): Promise<Exclude<T, Nothing>> {
  const deadline = performance.now() + limitMs
  let reason: unknown
  for (;;) {
    try {
      const answer = await condition()
      if (isSomething(answer)) return answer
    } catch (error) {
      reason = error
    }
    if (performance.now() >= deadline) {
      throw new Error(`no ${what} within ${limitMs} ms`, { cause: reason })
    }
    await pause(everyMs)
  }
}

function isSomething<T>(answer: T): answer is Exclude<T, Nothing> {
  return answer !== null && answer !== undefined && (answer as unknown) !== false
}
