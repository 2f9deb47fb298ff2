/** Errors of clients by class; pure. */

/**
 * SQLSTATE when the server or a router sent one, else the operating system's code, else what became
 * of the connection.
 */
export function classify(error: unknown): string {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  if (typeof code === 'string' && code !== '') return code
  const words = typeof message === 'string' ? message : String(error)
  if (/terminated|closed|ended/i.test(words)) return 'closed'
  return /time.?out/i.test(words) ? 'timeout' : words.slice(0, 60)
}

/** How often each class occurred, most frequent first. */
export function countBy(classes: readonly string[]): readonly (readonly [string, number])[] {
  const counts = new Map<string, number>()
  for (const name of classes) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
}
