/** Puts a whole route table together: every listener, every target. */
import type { ClusterView, Term } from '../cluster/types.ts'
import type { Readers } from './replica-routes.ts'
import type {
  Backend,
  HeldRoute,
  Keep,
  ListenerPolicy,
  ListenerRoutes,
  OpenRoute,
  Route,
  RouteTable,
  Witness,
} from './types.ts'
import type { WriteAnswer } from './write-answer.ts'
import type { Lead } from './write-state.ts'

/** What one listener's routes are made of. */
export type Ingredients = {
  readonly write: WriteAnswer
  readonly replicas: Readers
  readonly syncs: Readers
  /** Whether a backend failed a client lately. */
  readonly isShunned: (member: string) => boolean
  /** The view is known and has no members. */
  readonly isEmpty: boolean
}

export type Heading = {
  readonly serial: number
  readonly term: Term | null
  readonly leader: string | null
  readonly stale: boolean
  readonly keep: Keep
  readonly witness: Witness | null
  readonly members: readonly Backend[]
}

/** All four targets: a client may choose another than its listener's. */
export function buildRoutes(policy: ListenerPolicy, parts: Ingredients): ListenerRoutes {
  const { replicas, syncs } = parts
  return {
    primary: buildPrimary(policy, parts.write),
    replica: buildReaders(policy, parts, replicas, 'no-replica'),
    sync: buildReaders(policy, parts, syncs, 'no-sync-standby'),
    any: buildAny(policy, parts),
  }
}

/** Every member that can be dialled; the leader also at its last address when its key is gone. */
export function listMembers(
  view: ClusterView | null,
  lead: Lead | null,
  write: WriteAnswer,
): readonly Backend[] {
  const primary = write.kind === 'open' ? write.backend.member : null
  const listed = (view?.members ?? []).map(({ name, host, port }): Backend => {
    return { member: name, host, port, role: name === primary ? 'primary' : 'replica' }
  })
  if (!lead?.home || listed.some(({ member }) => member === lead.member)) return listed
  const { member, home } = lead
  const role = member === primary ? 'primary' : 'replica'
  return [...listed, { member, host: home.host, port: home.port, role }]
}

/** A table is one value: two are equal when all but their serials are. */
export function buildTable(
  heading: Heading,
  listeners: Readonly<Record<string, ListenerRoutes>>,
): RouteTable {
  const { serial, term, leader, stale, keep, witness, members } = heading
  return { serial, term, leader, stale, keep, witness, members, listeners }
}

/** Tables are built field by field in one order, so their texts compare. */
export function isSameTable(a: RouteTable | null, b: RouteTable): boolean {
  return a !== null && JSON.stringify({ ...a, serial: 0 }) === JSON.stringify({ ...b, serial: 0 })
}

/** The same table with nobody sent to a primary: those clients wait, for the reason `held` gives. */
export function withoutPrimary(table: RouteTable, held: HeldRoute): RouteTable {
  const hold = (route: Route): Route => {
    if (route.kind === 'held') return route
    const readers = route.backends.filter(({ role }) => role !== 'primary')
    return openAmong(route, readers) ?? held
  }
  const listeners = Object.entries(table.listeners).map(
    ([name, { primary, replica, sync, any }]): [string, ListenerRoutes] => [
      name,
      { primary: hold(primary), replica: hold(replica), sync: hold(sync), any: hold(any) },
    ],
  )
  return { ...table, listeners: Object.fromEntries(listeners) }
}

function buildPrimary({ balance }: ListenerPolicy, write: WriteAnswer): Route {
  return write.kind === 'open' ? { kind: 'open', backends: [write.backend], balance } : write
}

function buildReaders(
  policy: ListenerPolicy,
  { write, isShunned }: Ingredients,
  readers: Readers,
  cause: 'no-replica' | 'no-sync-standby',
): Route {
  const route = openAmong(policy, spare(readers.backends, isShunned))
  if (route !== null) return route
  if (policy.fallback === 'primary') return buildPrimary(policy, write)
  return heldReaders(write, readers, cause)
}

function buildAny(policy: ListenerPolicy, parts: Ingredients): Route {
  const { write, replicas, isShunned } = parts
  const readers = spare(replicas.backends, isShunned)
  const route = openAmong(policy, write.kind === 'open' ? [write.backend, ...readers] : readers)
  if (route !== null) return route
  return write.kind === 'held' && !parts.isEmpty ? write : NO_MEMBER
}

/** Those that failed nobody lately, or all when there are no others. */
function spare(
  backends: readonly Backend[],
  isShunned: (member: string) => boolean,
): readonly Backend[] {
  const sound = backends.filter(({ member }) => !isShunned(member))
  return sound.length > 0 ? sound : backends
}

function openAmong(
  { balance }: Pick<ListenerPolicy, 'balance'>,
  backends: readonly Backend[],
): OpenRoute | null {
  const [first, ...rest] = backends
  return first === undefined ? null : { kind: 'open', backends: [first, ...rest], balance }
}

function heldReaders(
  write: WriteAnswer,
  readers: Readers,
  cause: 'no-replica' | 'no-sync-standby',
): HeldRoute {
  if (write.kind === 'held' && write.cause === 'cluster-unknown') return write
  const what = cause === 'no-replica' ? 'replica' : 'synchronous standby'
  const reasons = readers.passed.map(({ member, why }) => `${member} ${why}`)
  const because = reasons.length > 0 ? `: ${reasons.join(', ')}` : ''
  return { kind: 'held', cause, words: `no ${what} can take readers${because}` }
}

const NO_MEMBER: HeldRoute = {
  kind: 'held',
  cause: 'no-member',
  words: 'the cluster has no members',
}
