/** How many descriptors a process may have open. */
import { readFileSync } from 'node:fs'

/**
 * The limit of this process and, as it is inherited, of every worker; `Infinity` without one, null
 * when it can't be read. Node has raised the soft limit to the hard one by now.
 */
export function openFilesMax(): number | null {
  try {
    return readLimit(readFileSync('/proc/self/limits', 'utf8'))
  } catch {
    return null
  }
}

/** The soft limit in the text of `/proc/<pid>/limits`. */
export function readLimit(text: string): number | null {
  const soft = /^Max open files\s+(\d+|unlimited)\s/m.exec(text)?.[1]
  if (soft === undefined) return null
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft)
}
