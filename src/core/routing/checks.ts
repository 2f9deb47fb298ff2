/** What to ask the members, how often, and when to decide again even if nothing happens. */
import { keptUntilMs, type Outage, trustedUntilMs } from './outage.ts'
import type { Penalty } from './penalty.ts'
import { keyCountsFromMs, mayOpenAtMs, mayTryAtMs } from './proof.ts'
import { isStandbyCluster, type WriteScene } from './write-answer.ts'
import { leadOf, type WriteState } from './write-state.ts'

/** While clients wait for the leader to come out of recovery. */
export const PROVING_EVERY_MS = 25
/** While a trusted leader owes one answer. */
export const VERIFY_EVERY_MS = 100
/** While etcd is lost and the leader's own word is all there is. */
export const STALE_EVERY_MS = 500

/** A question put to a member: at once when it is new in the list, then every `everyMs`. */
export type Check = {
  readonly member: string
  readonly apiUrl: string
  /** `/patroni` shows recovery; the status of `/primary` also shows who holds the lock. */
  readonly path: '/patroni' | '/primary'
  readonly everyMs: number
}

export function planChecks({ write, outage, view }: WriteScene): readonly Check[] {
  const lead = leadOf(write)
  const apiUrl = lead?.home?.apiUrl ?? null
  if (lead === null || apiUrl === null || view === null || isStandbyCluster(view)) return []
  const everyMs = paceOf(write, outage)
  if (everyMs === null) return []
  const path = outage === null ? '/patroni' : '/primary'
  return [{ member: lead.member, apiUrl, path, everyMs }]
}

function paceOf(write: WriteState, outage: Outage | null): number | null {
  if (write.at === 'proving') return PROVING_EVERY_MS
  if (outage !== null) return STALE_EVERY_MS
  return write.at === 'proven' && write.verify !== null ? VERIFY_EVERY_MS : null
}

/** The next instant at which time alone changes the answer; null: never. */
export function planWake(scene: WriteScene, penalties: readonly Penalty[]): number | null {
  const instants = [
    ...proofInstants(scene.write),
    ...switchoverInstants(scene),
    ...outageInstants(scene),
    ...penalties.map(({ untilMs }) => untilMs),
  ]
  const next = Math.min(...instants.filter((instant) => instant > scene.nowMs))
  return Number.isFinite(next) ? next : null
}

function proofInstants(write: WriteState): number[] {
  if (write.at === 'proving') {
    const { doubt, pace } = write
    return [mayOpenAtMs(pace), keyCountsFromMs(doubt), mayTryAtMs(doubt, pace) ?? 0]
  }
  return write.at === 'proven' && write.verify !== null ? [write.verify.untilMs] : []
}

function switchoverInstants({ switchover }: WriteScene): number[] {
  if (switchover.at === 'scheduled') return [switchover.fromMs]
  return switchover.at === 'holding' ? [switchover.untilMs] : []
}

function outageInstants({ write, outage, view }: WriteScene): number[] {
  const lead = leadOf(write)
  if (outage === null || lead === null || view === null) return []
  return [trustedUntilMs(outage, lead), keptUntilMs(outage, lead, view.config.ttlMs)]
}
