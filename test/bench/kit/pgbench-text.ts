/** pgbench's per-transaction log and its summary; pure. */

export type Window = { readonly fromUs: number; readonly toUs: number }
export type Transactions = { readonly count: number; readonly latenciesUs: readonly number[] }

/**
 * Transactions that ended within the window (Unix time in µs), from lines
 * `client transaction latency script seconds microseconds ...`. A torn last line is passed over.
 */
export function parseLog(text: string, window: Window): Transactions {
  const latenciesUs: number[] = []
  let count = 0
  for (const line of text.split('\n')) {
    const words = line.split(' ')
    if (words.length < 6) continue
    const endedUs = Number(words[4]) * 1e6 + Number(words[5])
    const latencyUs = Number(words[2])
    if (!(endedUs >= window.fromUs && endedUs < window.toUs)) continue
    count += 1
    if (Number.isFinite(latencyUs)) latenciesUs.push(latencyUs)
  }
  return { count, latenciesUs }
}

/** Failed transactions as the summary tells them; null when it is not a summary. */
export function parseFailures(text: string): number | null {
  if (!/number of transactions actually processed/.test(text)) return null
  return Number(/number of failed transactions: (\d+)/.exec(text)?.[1] ?? 0)
}
