/** Who may serve readers: running, streaming, not too far behind, not asked to be left alone. */
import { isStreamingReplica, isTag, lagBytes, syncStandbys } from '../cluster/members.ts'
import type { ClusterView, Member } from '../cluster/types.ts'
import type { Backend } from './types.ts'

/** A member left out for lag comes back at this share of the maximum: no flapping at the edge. */
export const LAG_COMEBACK_SHARE = 0.5

export type Passed = { readonly member: string; readonly why: string }
export type Readers = {
  /** Sorted by name. */
  readonly backends: readonly Backend[]
  readonly passed: readonly Passed[]
}
export type LaggedReaders = Readers & {
  /** Members out for lag: what the next step must remember. */
  readonly lagging: readonly string[]
}

/** The replicas within `maxLagBytes`; `lagging` were out for lag before. */
export function pickReplicas(
  view: ClusterView,
  maxLagBytes: number | null,
  lagging: readonly string[],
): LaggedReaders {
  const lags = maxLagBytes === null ? [] : lagsOf(view, maxLagBytes, lagging)
  const why = (member: Member) => whyNot(view, member) ?? lags.find(isOf(member))?.why ?? null
  const out = lags.filter(({ remembered }) => remembered).map(({ member }) => member)
  return { ...sortOut(view.members, why), lagging: out }
}

/** The synchronous standbys. How far they replayed does not matter: they have what was confirmed. */
export function pickSyncStandbys(view: ClusterView): Readers {
  return sortOut(syncStandbys(view), (member) => whyNot(view, member))
}

function sortOut(members: readonly Member[], why: (member: Member) => string | null): Readers {
  const sorted = [...members].sort((a, b) => (a.name < b.name ? -1 : 1))
  const judged = sorted.map((member) => ({ member, why: why(member) }))
  return {
    backends: judged.filter((one) => one.why === null).map(({ member }) => readerAt(member)),
    passed: judged.flatMap(({ member, why }) => (why ? [{ member: member.name, why }] : [])),
  }
}

/** An empty text marks the leader: it is no reader, and nobody has to be told why. */
function whyNot(view: ClusterView, member: Member): string | null {
  if (member.name === view.leader?.member) return ''
  if (isTag(member, 'noloadbalance')) return 'is tagged noloadbalance'
  return isStreamingReplica(member) ? null : 'is not a streaming replica'
}

type Lag = { readonly member: string; readonly why: string; readonly remembered: boolean }

function lagsOf(view: ClusterView, max: number, lagging: readonly string[]): readonly Lag[] {
  return view.members.flatMap((member): Lag[] => {
    const { name } = member
    const was = lagging.includes(name)
    const bytes = lagBytes(view, member)
    if (bytes === null) return [{ member: name, why: 'has an unknown lag', remembered: was }]
    const limit = was ? max * LAG_COMEBACK_SHARE : max
    return bytes > limit ? [{ member: name, why: 'lags too far', remembered: true }] : []
  })
}

function isOf({ name }: Member): (lag: Lag) => boolean {
  return ({ member }) => member === name
}

function readerAt({ name, host, port }: Member): Backend {
  return { member: name, host, port, role: 'replica' }
}
