/**
 * Going on by a table that was found with a worker of an earlier control process, while etcd can't be
 * asked and nothing was read from it yet: as long as the last leader proves by its own word that it
 * leads. What the table holds stays held; nothing is opened that it does not open. Pure.
 */
import { compareTerms } from '../cluster/term.ts'
import { type Check, STALE_EVERY_MS } from './checks.ts'
import type { RoutingInput, Sighting } from './input.ts'
import { type Note, type Told, writeNotes } from './notes.ts'
import { keptUntilMs, trustedUntilMs } from './outage.ts'
import { isGood } from './proof.ts'
import { isSameTable, withoutPrimary } from './table.ts'
import type { HeldRoute, RouteTable, Witness } from './types.ts'
import type { WriteAnswer } from './write-answer.ts'

export type Found = {
  readonly table: RouteTable
  /** When we began to go on by it; null: not yet. */
  readonly sinceMs: number | null
  /** When the newest answer was asked for that showed the witness leading. */
  readonly goodAtMs: number | null
  /** Its newest word is that it is in recovery. */
  readonly inRecovery: boolean
}

export type FoundStep = {
  readonly found: Found
  readonly table: RouteTable
  readonly changed: boolean
  readonly checks: readonly Check[]
  readonly wakeAtMs: number | null
  readonly notes: readonly Note[]
}

/** The newest of the tables that workers bring along: by term, then in the order they were made. */
export function chooseFound(before: Found | null, table: RouteTable): Found {
  if (before !== null && !isLater(table, before.table)) return before
  return { table, sinceMs: before?.sinceMs ?? null, goodAtMs: null, inRecovery: false }
}

/** One step; `last` is the table of the step before, null at first. */
export function decideByFound(
  before: Found,
  last: RouteTable | null,
  input: Pick<RoutingInput, 'nowMs' | 'etcd' | 'sightings' | 'policies'>,
): FoundStep {
  const { nowMs } = input
  const begun = { ...before, sinceMs: before.sinceMs ?? nowMs }
  const found = input.sightings.reduce(hear, begun)
  const limits = limitsOf(found, nowMs)
  const draft = weigh(found, limits, nowMs)
  const changed = !isSameTable(last, draft)
  const serial = Math.max(found.table.serial, last?.serial ?? 0) + 1
  const table = changed || last === null ? { ...draft, serial } : last
  const wakes = [limits.trustedUntilMs, limits.keptUntilMs].filter((atMs) => atMs > nowMs)
  return {
    ...{ found, table, changed, checks: checksOf(found.table.witness) },
    wakeAtMs: wakes.length === 0 ? null : Math.min(...wakes),
    notes: writeNotes(toldOf(last, input), toldOf(table, input), input.policies),
  }
}

function isLater(a: RouteTable, b: RouteTable): boolean {
  if (a.term === null || b.term === null) return a.term !== null
  const order = compareTerms(a.term, b.term)
  return order > 0 || (order === 0 && a.serial > b.serial)
}

function hear(found: Found, sighting: Sighting): Found {
  const { member, atMs, answer } = sighting
  const newest = found.goodAtMs ?? found.sinceMs ?? atMs
  if (member !== found.table.witness?.member || atMs < newest) return found
  if (isGood(sighting)) return { ...found, goodAtMs: atMs, inRecovery: false }
  return answer.kind === 'standby' ? { ...found, inRecovery: true } : found
}

type Limits = { readonly trustedUntilMs: number; readonly keptUntilMs: number }

function limitsOf(found: Found, nowMs: number): Limits {
  const sinceMs = found.sinceMs ?? nowMs
  const silence = { sinceMs, noticedAtMs: sinceMs }
  return {
    trustedUntilMs: trustedUntilMs(silence, found),
    keptUntilMs: keptUntilMs(silence, found, found.table.witness?.ttlMs ?? 0),
  }
}

function weigh(found: Found, limits: Limits, nowMs: number): RouteTable {
  const stale = { ...found.table, stale: true }
  const name = found.table.witness?.member ?? 'nobody'
  const isTrusted = !found.inRecovery && nowMs < Math.min(limits.trustedUntilMs, limits.keptUntilMs)
  if (isTrusted) return stale
  const held = withoutPrimary(stale, heldWords(name, found.inRecovery))
  if (!found.inRecovery && nowMs < limits.keptUntilMs) return held
  const { primary, replicaNot } = held.keep
  return { ...held, keep: { primary: primary === null ? null : [], replicaNot } }
}

function heldWords(member: string, inRecovery: boolean): HeldRoute {
  if (inRecovery) {
    const words = `${member} leads and is in recovery`
    return { kind: 'held', cause: 'leader-not-out-of-recovery', words }
  }
  const words = `etcd can't be asked and ${member} does not prove that it leads`
  return { kind: 'held', cause: 'leader-unproven-while-stale', words }
}

function checksOf(witness: Witness | null): readonly Check[] {
  if (witness === null || witness.apiUrl === null) return []
  const { member, apiUrl } = witness
  return [{ member, apiUrl, path: '/primary', everyMs: STALE_EVERY_MS }]
}

function toldOf(table: RouteTable | null, { etcd }: Pick<RoutingInput, 'etcd'>): Told {
  const why = etcd.kind === 'lost' ? etcd.why : null
  return { table, write: writeOf(table), wasOpen: true, why, lateRevision: null }
}

function writeOf(table: RouteTable | null): WriteAnswer | null {
  const route = Object.values(table?.listeners ?? {})[0]?.primary
  if (route === undefined) return null
  return route.kind === 'held' ? route : { kind: 'open', backend: route.backends[0] }
}
