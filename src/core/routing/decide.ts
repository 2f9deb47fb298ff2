/**
 * Which backends may a client be sent to right now: one step, from what was known and what is new to
 * a whole table. Pure. The order within a step is fixed: etcd's view first, then what was seen and
 * suffered, oldest first, so that of two words from one instant the worse one stands.
 */
import { compareTerms } from '../cluster/term.ts'
import type { ClusterView } from '../cluster/types.ts'
import { type Check, planChecks, planWake } from './checks.ts'
import type { RoutingInput, Sighting, Trouble } from './input.ts'
import { type Note, type Told, writeNotes } from './notes.ts'
import { followEtcd, type Outage } from './outage.ts'
import { followPenalties, isPenalized, type Penalty } from './penalty.ts'
import { isGood } from './proof.ts'
import {
  type LaggedReaders,
  pickReplicas,
  pickSyncStandbys,
  type Readers,
} from './replica-routes.ts'
import { followSwitchover, NO_SWITCHOVER, type Switchover } from './switchover.ts'
import { buildRoutes, buildTable, isSameTable, listMembers } from './table.ts'
import type { Keep, ListenerPolicy, ListenerRoutes, RouteTable, Witness } from './types.ts'
import { answerWrite, keepPrimary, type WriteAnswer, type WriteScene } from './write-answer.ts'
import { expireVerify, followSighting, followTrouble } from './write-evidence.ts'
import { tryUnanswered } from './write-moves.ts'
import { followView, isNewTerm, memberOf } from './write-route.ts'
import { type Lead, leadOf, type WriteState } from './write-state.ts'

export type { Check } from './checks.ts'
export type { Answer, EtcdHealth, RoutingInput, Sighting, Trouble } from './input.ts'
export type { Note, NoteCause } from './notes.ts'

/** What is remembered between steps. Plain data; only `decideRoutes` reads it. */
export type RoutingState = {
  /** The newest view, and the newest that came too late to count. */
  readonly view: ClusterView | null
  readonly lateRevision: number | null
  readonly write: WriteState
  readonly switchover: Switchover
  readonly outage: Outage | null
  readonly penalties: readonly Penalty[]
  /** Members out for lag, by listener. */
  readonly lagging: Readonly<Record<string, readonly string[]>>
  readonly answer: WriteAnswer | null
  readonly table: RouteTable | null
}

export type RoutingStep = {
  readonly state: RoutingState
  readonly table: RouteTable
  /** The table differs from the last one in more than its serial. */
  readonly changed: boolean
  readonly checks: readonly Check[]
  /** Step again at the latest then, if nothing happens before; null: no need. */
  readonly wakeAtMs: number | null
  readonly notes: readonly Note[]
}

export function initialRoutingState(): RoutingState {
  return {
    view: null,
    lateRevision: null,
    write: { at: 'unknown' },
    switchover: NO_SWITCHOVER,
    outage: null,
    penalties: [],
    lagging: {},
    answer: null,
    table: null,
  }
}

/** One step. Total: any order of inputs is fine, late ones change nothing. */
export function decideRoutes(state: RoutingState, input: RoutingInput): RoutingStep {
  const known = learn(state, input)
  const scene: WriteScene = { ...known, nowMs: input.nowMs }
  const answer = answerWrite(scene)
  const readers = pickReaders(known, input.policies)
  const listeners = buildListeners(known, input, answer, readers)
  const draft = buildTable(head(scene, answer), listeners)
  const changed = !isSameTable(state.table, draft)
  const table = changed
    ? { ...draft, serial: (state.table?.serial ?? 0) + 1 }
    : (state.table ?? draft)
  const lagging = Object.fromEntries(readers.map(([name, { lagging }]) => [name, lagging]))
  const next: RoutingState = { ...known, lagging, answer, table }
  const checks = planChecks(scene)
  const wakeAtMs = planWake(scene, known.penalties)
  const notes = writeNotes(toldOf(state), toldOf(next), input.policies)
  return { state: next, table, changed, checks, wakeAtMs, notes }
}

function learn(state: RoutingState, input: RoutingInput): RoutingState {
  const { nowMs } = input
  const outage = followEtcd(state.outage, input.etcd, nowMs)
  const seen = learnView({ ...state, outage }, input)
  const write = weighEvidence(seen, input)
  const ofReplicas = input.troubles.filter(({ member }) => member !== seen.view?.leader?.member)
  const penalties = followPenalties(state.penalties, ofReplicas, nowMs)
  return { ...seen, write, penalties }
}

function learnView(state: RoutingState, { view, nowMs }: RoutingInput): RoutingState {
  const late = view !== null && isLate(view, state) ? view : null
  const newest = late === null ? (view ?? state.view) : state.view
  const lateRevision = late?.revision ?? state.lateRevision
  if (newest === null) return { ...state, lateRevision }
  const newTerm = newest.leader !== null && isNewTerm(leadOf(state.write), newest.leader)
  const write = followView(state.write, newest, nowMs)
  const switchover = followSwitchover(state.switchover, newest, newTerm, nowMs)
  return { ...state, view: newest, lateRevision, write, switchover }
}

/** Older than the view before it, or of an older leadership: it must not undo anything. */
function isLate(view: ClusterView, { view: before, write }: RoutingState): boolean {
  const lead = leadOf(write)
  if (lead && view.leader && compareTerms(view.leader.term, lead.term) < 0) return true
  if (before === null || view.store > before.store) return false
  return view.store < before.store || view.revision < before.revision
}

type Evidence =
  | { readonly kind: 'sighting'; readonly what: Sighting }
  | { readonly kind: 'trouble'; readonly what: Trouble }

function weighEvidence({ write, view, outage }: RoutingState, input: RoutingInput): WriteState {
  const lead = leadOf(write)
  const member = lead && view ? memberOf(view, lead.member) : null
  const scene = { nowMs: input.nowMs, stale: outage !== null, member }
  const seen = sortEvidence(input).reduce(
    (known, { kind, what }) =>
      kind === 'sighting' ? followSighting(known, what, scene) : followTrouble(known, what, scene),
    write,
  )
  return tryUnanswered(expireVerify(seen, input.nowMs), scene)
}

function sortEvidence({ sightings, troubles }: RoutingInput): readonly Evidence[] {
  const all: Evidence[] = [
    ...sightings.map((what) => ({ kind: 'sighting' as const, what })),
    ...troubles.map((what) => ({ kind: 'trouble' as const, what })),
  ]
  return all.sort((a, b) => a.what.atMs - b.what.atMs || badness(a) - badness(b))
}

function badness(evidence: Evidence): number {
  return evidence.kind === 'sighting' && isGood(evidence.what) ? 0 : 1
}

type ReadersByListener = readonly (readonly [string, LaggedReaders])[]

const NO_READERS: Readers = { backends: [], passed: [] }

function pickReaders(
  { view, lagging }: RoutingState,
  policies: readonly ListenerPolicy[],
): ReadersByListener {
  return policies.map(({ name, maxLagBytes }) => {
    const before = lagging[name] ?? []
    const none = { ...NO_READERS, lagging: before }
    return [name, view === null ? none : pickReplicas(view, maxLagBytes, before)]
  })
}

function buildListeners(
  { view, penalties }: RoutingState,
  { policies, nowMs }: RoutingInput,
  write: WriteAnswer,
  readers: ReadersByListener,
): Readonly<Record<string, ListenerRoutes>> {
  const byName = new Map(readers)
  const syncs = view === null ? NO_READERS : pickSyncStandbys(view)
  const isShunned = (member: string) => isPenalized(penalties, member, nowMs)
  const isEmpty = view?.members.length === 0
  return Object.fromEntries(
    policies.map((policy) => {
      const replicas = byName.get(policy.name) ?? NO_READERS
      return [policy.name, buildRoutes(policy, { write, replicas, syncs, isShunned, isEmpty })]
    }),
  )
}

function head(scene: WriteScene, answer: WriteAnswer) {
  const lead = leadOf(scene.write)
  const leader = scene.write.at === 'vacant' ? null : (lead?.member ?? null)
  const replicaNot = leader === null ? [] : [leader]
  const keep: Keep = { primary: keepPrimary(scene), replicaNot }
  const members = listMembers(scene.view, lead, answer)
  const stale = scene.outage !== null
  const witness = lead === null ? null : witnessOf(lead, scene)
  return { serial: 0, term: lead?.term ?? null, leader, stale, keep, witness, members }
}

function witnessOf({ member, home }: Lead, { view }: WriteScene): Witness | null {
  if (view === null) return null
  return { member, apiUrl: home?.apiUrl ?? null, ttlMs: view.config.ttlMs }
}

function toldOf({ table, answer, write, outage, lateRevision }: RoutingState): Told {
  const wasOpen =
    write.at === 'proven' || (write.at === 'proving' && write.pace.openedAtMs !== null)
  return { table, write: answer, wasOpen, why: outage?.why ?? null, lateRevision }
}
