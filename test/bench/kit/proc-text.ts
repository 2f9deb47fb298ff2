/** What the kernel writes into `/proc/<pid>`, as numbers; pure. */

export type ProcessStat = {
  readonly parent: number
  readonly startTicks: number
  /** User and system time in clock ticks (of 10 ms), also of threads that ended. */
  readonly ticks: number
}

/** `/proc/<pid>/stat`. The command stands in parentheses and may hold spaces and parentheses. */
export function parseStat(text: string): ProcessStat | null {
  const words = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [parent, user, system, start] = [words[1], words[11], words[12], words[19]].map(Number)
  if (![parent, user, system, start].every(Number.isInteger)) return null
  return { parent: parent!, startTicks: start!, ticks: user! + system! }
}

/** `/proc/<pid>/task/<tid>/schedstat`: nanoseconds on a core. */
export function parseSchedstat(text: string): number | null {
  const [first] = text.split(' ')
  return first !== undefined && /^\d+$/.test(first) ? Number(first) : null
}

export type Memory = { readonly rssKb: number; readonly pssKb: number }

/** `/proc/<pid>/smaps_rollup`. Pss shares pages out among the processes that map them. */
export function parseSmapsRollup(text: string): Memory | null {
  const rss = /^Rss:\s+(\d+) kB/m.exec(text)?.[1]
  const pss = /^Pss:\s+(\d+) kB/m.exec(text)?.[1]
  return rss === undefined || pss === undefined ? null : { rssKb: Number(rss), pssKb: Number(pss) }
}

/** The process and all below it, from pid -> parent. */
export function descendants(root: number, parents: ReadonlyMap<number, number>): readonly number[] {
  const found = [root]
  for (const pid of found) {
    for (const [child, parent] of parents) if (parent === pid) found.push(child)
  }
  return found
}
