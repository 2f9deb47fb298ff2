/** The order of leaderships: which of two leader keys is the later one. */
import type { Term } from './types.ts'

/**
 * -1, 0 or 1 as `a` is older than, the same as or newer than `b`: by store, then create revision,
 * then the revision at which the holder changed.
 */
export function compareTerms(a: Term, b: Term): -1 | 0 | 1 {
  return order(a.store, b.store) || order(a.created, b.created) || order(a.changed, b.changed) || 0
}

/** Whether `term` is a later leadership than `than`; any term is newer than none. */
export function isNewer(term: Term, than: Term | null): boolean {
  return than === null || compareTerms(term, than) > 0
}

function order(a: number, b: number): -1 | 0 | 1 {
  return a < b ? -1 : a > b ? 1 : 0
}
