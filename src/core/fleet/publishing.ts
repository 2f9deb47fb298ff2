/**
 * In which order tables reach the workers. Tables go out at once, with one exception: while a table
 * that took the role from a primary has not reached every worker, none that opens the write route
 * goes out, so that no two workers serve two primaries. The wait is bounded.
 */
import type { RouteTable } from '../routing/types.ts'

export type Publishing = {
  readonly sent: RouteTable | null
  /** The table whose cut is not yet acknowledged by all. */
  readonly cutting: { readonly serial: number; readonly untilMs: number } | null
  /** Decided, and not sent because of `cutting`; only the newest is kept. */
  readonly waiting: RouteTable | null
}

export type PublishStep = {
  readonly publishing: Publishing
  readonly send: RouteTable | null
}

/** How long workers that do not answer may delay the opening of a route. */
export const CUT_WAIT_MS = 1000

export const NOTHING_PUBLISHED: Publishing = { sent: null, cutting: null, waiting: null }

/** A new table was decided. */
export function offerTable(before: Publishing, table: RouteTable, nowMs: number): PublishStep {
  if (before.cutting !== null && nowMs < before.cutting.untilMs && opensPrimary(table)) {
    return { publishing: { ...before, waiting: table }, send: null }
  }
  const cutting = deposes(before.sent, table)
    ? { serial: table.serial, untilMs: nowMs + CUT_WAIT_MS }
    : before.cutting
  return { publishing: { sent: table, cutting, waiting: null }, send: table }
}

/** Workers answered, one left, or time passed. `acked` is what every reachable worker has switched to. */
export function reviewAcks(before: Publishing, acked: number, nowMs: number): PublishStep {
  const { cutting, waiting } = before
  if (cutting === null) return { publishing: before, send: null }
  if (acked < cutting.serial && nowMs < cutting.untilMs) return { publishing: before, send: null }
  const free = { ...before, cutting: null, waiting: null }
  return waiting === null ? { publishing: free, send: null } : offerTable(free, waiting, nowMs)
}

/** Sessions on some primary that could stay by `before` must go by `after`. */
export function deposes(before: RouteTable | null, after: RouteTable): boolean {
  const kept = after.keep.primary
  if (before === null || kept === null) return false
  const served = before.keep.primary ?? primariesOf(before)
  return served.some((member) => !kept.includes(member))
}

/** Members that writes go to; a table names at most one. */
export function primariesOf(table: RouteTable): string[] {
  const members = Object.values(table.listeners).flatMap(({ primary }) =>
    primary.kind === 'open' ? primary.backends.map((backend) => backend.member) : [],
  )
  return [...new Set(members)]
}

function opensPrimary(table: RouteTable): boolean {
  return primariesOf(table).length > 0
}
