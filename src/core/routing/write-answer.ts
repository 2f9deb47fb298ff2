/** What the write route's memory means for clients: where they go, or why they wait, in words. */
import { assertNever } from '../../kit/assert-never.ts'
import type { ClusterView } from '../cluster/types.ts'
import { keptUntilMs, type Outage, trustedUntilMs } from './outage.ts'
import type { Switchover } from './switchover.ts'
import type { Backend, HeldRoute, HoldCause, Keeper, TroubleKind } from './types.ts'
import { isInRecovery, type Leading, type Proving } from './write-moves.ts'
import { memberOf } from './write-route.ts'
import { type Lead, leadOf, type WriteState } from './write-state.ts'

export type WriteAnswer = { readonly kind: 'open'; readonly backend: Backend } | HeldRoute

export type WriteScene = {
  readonly write: WriteState
  readonly switchover: Switchover
  readonly outage: Outage | null
  readonly view: ClusterView | null
  readonly nowMs: number
}

/** Where a client that wants to write is sent now. */
export function answerWrite(scene: WriteScene): WriteAnswer {
  const { write, view } = scene
  if (view === null || write.at === 'unknown') {
    return held('cluster-unknown', 'the cluster was not read from etcd yet')
  }
  if (isStandbyCluster(view)) {
    return held('standby-cluster', 'this is a standby cluster: nobody here takes writes')
  }
  if (write.at === 'vacant') return held('no-leader', vacantWords(write.last?.member))
  return answerLeading(write, scene)
}

/** By configuration, or by the leader's own word. */
export function isStandbyCluster(view: ClusterView): boolean {
  if (view.config.standbyCluster) return true
  return view.leader !== null && memberOf(view, view.leader.member)?.role === 'standby_leader'
}

/** With whom sessions opened on a primary may stay; null: not known. */
export function keepPrimary({ write, outage, view, nowMs }: WriteScene): readonly Keeper[] | null {
  const lead = leadOf(write)
  if (lead === null || view === null) return null
  if (isInRecovery(write)) return []
  if (outage !== null && nowMs >= keptUntilMs(outage, lead, view.config.ttlMs)) return []
  return [{ member: lead.member, addresses: lead.stays }]
}

function answerLeading(
  write: Leading,
  { switchover, outage, view, nowMs }: WriteScene,
): WriteAnswer {
  const { member, home } = write.lead
  if (home === null) return held('leader-not-a-member', `${member} leads but has no member key`)
  if (switchover.at === 'holding') return held('switchover-requested', switchover.words)
  if (write.at === 'proving') return answerDoubt(write)
  if (outage !== null && view !== null && nowMs >= openUntilMs(outage, write.lead, view)) {
    const words = `etcd can't be asked and ${member} does not prove that it leads`
    return held('leader-unproven-while-stale', words)
  }
  return { kind: 'open', backend: { member, host: home.host, port: home.port, role: 'primary' } }
}

/** Nobody is sent where sessions are cut, however short the ttl. */
function openUntilMs(outage: Outage, lead: Lead, view: ClusterView): number {
  return Math.min(trustedUntilMs(outage, lead), keptUntilMs(outage, lead, view.config.ttlMs))
}

function answerDoubt({ lead, doubt, pace }: Proving): HeldRoute {
  const { member } = lead
  switch (doubt.kind) {
    case 'new-term':
      return heldInRecovery(member, true)
    case 'in-recovery':
      return heldInRecovery(member, pace.openedAtMs === null)
    case 'not-running':
      return held('leader-unreachable', `PostgreSQL on ${member} does not run: ${doubt.state}`)
    case 'member-key':
      return answerKeyDoubt(member, doubt.role, doubt.state)
    case 'trouble':
      return held(...troubleWords(member, doubt.what))
    default:
      return assertNever(doubt)
  }
}

function heldInRecovery(member: string, isFresh: boolean): HeldRoute {
  const words = isFresh
    ? 'took the lead and is not out of recovery yet'
    : 'leads and is in recovery'
  return held('leader-not-out-of-recovery', `${member} ${words}`)
}

function answerKeyDoubt(member: string, role: string, state: string): HeldRoute {
  if (state !== 'running') {
    return held('leader-unreachable', `PostgreSQL on ${member} does not run: ${state}`)
  }
  return held('leader-not-out-of-recovery', `${member} leads but says its role is ${role}`)
}

function troubleWords(member: string, what: TroubleKind): [HoldCause, string] {
  switch (what) {
    case 'refused':
      return ['leader-unreachable', `${member} refuses connections`]
    case 'reset':
      return ['leader-unreachable', `${member} resets connections`]
    case 'connect-timeout':
      return ['leader-unreachable', `${member} does not answer connections in time`]
    case 'starting-up':
      return ['leader-unreachable', `${member} is starting up or shutting down`]
    case 'closed-before-answer':
      return ['leader-unreachable', `${member} closes connections without an answer`]
    case 'in-hot-standby':
      return ['leader-not-out-of-recovery', `${member} leads and serves as a hot standby`]
    case 'session-lost':
      return ['leader-unreachable', `${member} lost a session`]
    default:
      return assertNever(what)
  }
}

function vacantWords(last: string | undefined): string {
  if (last === undefined) return 'nobody holds the leader key'
  return `nobody holds the leader key since ${last} lost it`
}

function held(cause: HoldCause, words: string): HeldRoute {
  return { kind: 'held', cause, words }
}
