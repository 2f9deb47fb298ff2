/**
 * In which order tables reach the workers. Tables go out at once, with one exception: none that opens
 * the write route goes out before every worker has let go of the primaries before, so that no two
 * workers serve two primaries. A table that does both at once goes out held first. What workers serve
 * that were there before us is not known: it counts as another primary. The wait is bounded.
 */
import { membersCut } from '../routing/cut.ts'
import { withoutPrimary } from '../routing/table.ts'
import type { HeldRoute, RouteTable } from '../routing/types.ts'

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

/** A table held before it opens is numbered between the one before and itself. */
const HELD_BEFORE = 0.5

/** A new table was decided. */
export function offerTable(before: Publishing, table: RouteTable, nowMs: number): PublishStep {
  const isCutting = before.cutting !== null && nowMs < before.cutting.untilMs
  const isNews = deposes(before.sent, table)
  if (!opensPrimary(table) || !(isCutting || isNews)) {
    const cutting = isNews ? cuttingBy(table, nowMs) : before.cutting
    return { publishing: { sent: table, cutting, waiting: null }, send: table }
  }
  if (!isNews) return { publishing: { ...before, waiting: table }, send: null }
  const held = holdFirst(table)
  const publishing = { sent: held, cutting: cuttingBy(held, nowMs), waiting: table }
  return { publishing, send: held }
}

/** Workers answered, one left, or time passed. `acked` is what every worker that lives has switched to. */
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
  if (kept === null) return false
  const served = before?.keep.primary ?? null
  return served === null || membersCut(served, kept).length > 0
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

function cuttingBy({ serial }: RouteTable, nowMs: number): Publishing['cutting'] {
  return { serial, untilMs: nowMs + CUT_WAIT_MS }
}

function holdFirst(table: RouteTable): RouteTable {
  const held: HeldRoute = {
    kind: 'held',
    cause: 'primary-changing',
    words: `sessions on the primary before ${table.leader ?? 'this'} are being let go`,
  }
  return { ...withoutPrimary(table, held), serial: table.serial - HELD_BEFORE }
}
