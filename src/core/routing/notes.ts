/** Log lines of a step: what changed, each said once, by a closed set of words. */
import { membersCut } from './cut.ts'
import type { ListenerPolicy, RouteTable } from './types.ts'
import type { WriteAnswer } from './write-answer.ts'

export const NOTE_CAUSES = [
  'new-leader',
  'write-route-open',
  'write-route-held',
  'write-sessions-cut',
  'readers-changed',
  'etcd-lost',
  'etcd-back',
  'late-view-ignored',
] as const
export type NoteCause = (typeof NOTE_CAUSES)[number]
export type Note = { readonly because: NoteCause; readonly words: string }

/** What notes are made of, before and after a step. */
export type Told = {
  readonly table: RouteTable | null
  readonly write: WriteAnswer | null
  /** Whether the write route was open in this term: before that nobody can have sessions there. */
  readonly wasOpen: boolean
  /** Why etcd is lost. */
  readonly why: string | null
  readonly lateRevision: number | null
}

/** `policies` name the listeners of readers: others have no news of them. */
export function writeNotes(
  before: Told,
  now: Told,
  policies: readonly ListenerPolicy[],
): readonly Note[] {
  return [
    ...etcdNotes(before, now),
    ...viewNotes(before, now),
    ...leaderNotes(before, now),
    ...writeRouteNotes(before, now),
    ...policies.flatMap((policy) => readerNotes(before, now, policy)),
  ]
}

function etcdNotes(before: Told, { table, why }: Told): Note[] {
  const was = before.table?.stale ?? false
  const is = table?.stale ?? false
  if (was === is) return []
  if (!is) return [{ because: 'etcd-back', words: 'etcd answers again' }]
  return [{ because: 'etcd-lost', words: `etcd is lost, the last routes stay: ${why}` }]
}

function viewNotes(before: Told, { lateRevision }: Told): Note[] {
  if (lateRevision === null || lateRevision === before.lateRevision) return []
  return [{ because: 'late-view-ignored', words: `revision ${lateRevision} of the keys came late` }]
}

function leaderNotes(before: Told, now: Told): Note[] {
  const { leader, term } = now.table ?? { leader: null, term: null }
  const isSame = before.table?.leader === leader && before.table?.term?.created === term?.created
  const led = leader === null || isSame ? [] : [leadsNote(leader, term?.created)]
  return [...led, ...cutNotes(before, now)]
}

function leadsNote(leader: string, created: number | undefined): Note {
  return { because: 'new-leader', words: `${leader} holds the leader key of revision ${created}` }
}

function cutNotes({ table: before }: Told, { table, wasOpen }: Told): Note[] {
  const keep = table?.keep.primary ?? null
  if (keep === null) return []
  const stays = (member: string) => keep.some((one) => one.member === member)
  const hasSessions = (one: string) => one !== table?.leader || wasOpen || stays(one)
  const gone = membersCut(before?.keep.primary ?? [], keep).filter(hasSessions)
  const words = `sessions on ${gone.join(', ')} as primary are cut`
  return gone.length > 0 ? [{ because: 'write-sessions-cut', words }] : []
}

function writeRouteNotes(before: Told, { write }: Told): Note[] {
  if (write === null || describe(before.write) === describe(write)) return []
  const because = write.kind === 'open' ? 'write-route-open' : 'write-route-held'
  return [{ because, words: describe(write) }]
}

function describe(write: WriteAnswer | null): string {
  if (write === null) return ''
  if (write.kind === 'held') return `${write.cause}: ${write.words}`
  const { member, host, port } = write.backend
  return `writes go to ${member} at ${host}:${port}`
}

function readerNotes({ table: before }: Told, { table }: Told, policy: ListenerPolicy): Note[] {
  if (policy.target === 'primary') return []
  const is = clientsGoTo(table, policy)
  if (is === clientsGoTo(before, policy)) return []
  return [{ because: 'readers-changed', words: `clients of ${policy.name} ${is}` }]
}

function clientsGoTo(table: RouteTable | null, { name, target }: ListenerPolicy): string {
  const route = table?.listeners[name]?.[target]
  if (route?.kind !== 'open') return 'wait'
  return `go to ${route.backends.map(({ member }) => member).join(', ')}`
}
