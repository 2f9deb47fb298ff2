/** Questions about members of a view, as Patroni would answer them. */
import type { ClusterView, Member } from './types.ts'
import { parseBoolean } from './values.ts'

/** First version whose standbys publish `replication_state` in the member key. */
const REPLICATION_STATE_SINCE = [3, 0, 4] as const

/** Published as running and out of recovery. What the member key says may be a loop old. */
export function isRunningPrimary(member: Member): boolean {
  return member.role === 'primary' && member.state === 'running'
}

/**
 * A running replica that receives WAL. Patroni before 3.0.4 does not publish `replication_state`, so
 * there running is enough; since then its absence means that no WAL receiver is at work.
 */
export function isStreamingReplica(member: Member): boolean {
  if (member.role !== 'replica' || member.state !== 'running') return false
  if (member.replicationState !== null) return member.replicationState === 'streaming'
  return !publishesReplicationState(member.version)
}

/**
 * Bytes the member's replay is behind the leader's last published position; null when either is
 * unknown. Before Patroni 4.1 only what the member received is published, which may be ahead of
 * replay. Both sides are published once a loop, so on a busy leader the figure includes the WAL of
 * up to `loop_wait`.
 */
export function lagBytes(view: ClusterView, member: Member): number | null {
  const reached = member.replayed ?? member.position
  if (view.leaderPosition === null || reached === null) return null
  return Math.max(0, view.leaderPosition - reached)
}

/**
 * The members named in `sync` (in quorum mode: the voters), without whoever leads. Names are compared
 * in any case, as PostgreSQL does it for `synchronous_standby_names`.
 */
export function syncStandbys(view: ClusterView): readonly Member[] {
  if (view.sync === null) return []
  const named = new Set(view.sync.standbys.map((name) => name.toLowerCase()))
  named.delete(view.sync.leader.toLowerCase())
  if (view.leader !== null) named.delete(view.leader.member.toLowerCase())
  return view.members.filter((member) => named.has(member.name.toLowerCase()))
}

/**
 * Whether a boolean tag is set. The words Patroni takes for booleans count as such, in any case; any
 * other value counts as set unless it is empty or zero, as in Patroni. (Patroni also takes the text
 * "false" as set for most tags; we do what was meant.)
 */
export function isTag(member: Member, name: string): boolean {
  const value = Object.hasOwn(member.tags, name) ? member.tags[name] : undefined
  return parseBoolean(value) ?? Boolean(value)
}

function publishesReplicationState(version: string | null): boolean {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(version ?? '')
  if (match === null) return false
  for (const [at, since] of REPLICATION_STATE_SINCE.entries()) {
    const part = Number(match[at + 1] ?? 0)
    if (part !== since) return part > since
  }
  return true
}
