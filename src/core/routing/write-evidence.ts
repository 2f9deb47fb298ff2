/** What members say of themselves and what clients met with, taken in one by one. */
import { assertNever } from '../../kit/assert-never.ts'
import type { Sighting, Trouble } from './input.ts'
import { isGood, isNews, isProvenBySighting } from './proof.ts'
import type { TroubleKind } from './types.ts'
import {
  doubtIt,
  type Leading,
  open,
  type Proven,
  type Proving,
  type Scene,
  VERIFY_LIMIT_MS,
} from './write-moves.ts'
import type { Lead, WriteState } from './write-state.ts'

/** Takes in what the leader (or, while nobody leads, the last one) said of itself. */
export function followSighting(write: WriteState, sighting: Sighting, scene: Scene): WriteState {
  switch (write.at) {
    case 'unknown':
      return write
    case 'vacant':
      return watchLast(write, sighting)
    case 'proving':
      return sightWhileProving(write, sighting, scene)
    case 'proven':
      return sightWhileProven(write, sighting, scene)
    default:
      return assertNever(write)
  }
}

function watchLast(write: Extract<WriteState, { at: 'vacant' }>, sighting: Sighting): WriteState {
  const { last } = write
  if (last === null || last.member !== sighting.member || !isNews(last, sighting.atMs)) return write
  if (isGood(sighting)) return { ...write, last: { ...last, goodAtMs: sighting.atMs } }
  return sighting.answer.kind === 'standby' ? { ...write, inRecovery: true } : write
}

function sightWhileProving(write: Proving, sighting: Sighting, scene: Scene): WriteState {
  if (sighting.member !== write.lead.member) return write
  if (isProvenBySighting(write.doubt, sighting)) {
    const seen = { ...write, lead: sawGood(write.lead, sighting) }
    return open(seen, sighting.atMs, scene.nowMs, scene.member)
  }
  const heard = noteAnswer(write, sighting)
  return sighting.atMs < write.doubt.atMs ? heard : doubtBySighting(heard, sighting, scene)
}

/** Whatever it answered, it is not silent; what denies the last proof must be lifted by its own word. */
function noteAnswer(write: Proving, sighting: Sighting): Proving {
  const { lead, doubt } = write
  if (doubt.kind !== 'trouble' || doubt.silentSinceMs === null) return write
  const { answer, atMs } = sighting
  if (answer.kind === 'unreachable' || !isNews(lead, atMs)) return write
  const isOut = answer.kind === 'primary'
  const silentSinceMs = isOut ? Math.max(doubt.silentSinceMs, atMs) : null
  return { ...write, doubt: { ...doubt, silentSinceMs } }
}

function sightWhileProven(write: Proven, sighting: Sighting, scene: Scene): WriteState {
  const { lead } = write
  if (sighting.member !== lead.member || !isNews(lead, sighting.atMs)) return write
  const known = settleVerify(write, sighting)
  if (isGood(sighting)) return { ...known, lead: sawGood(lead, sighting) }
  const doubted = doubtBySighting(known, sighting, scene)
  const isInFlight = doubted !== known && sighting.atMs < write.asOfMs
  return isInFlight ? verifySoon(known, scene.nowMs, scene.nowMs) : doubted
}

function settleVerify(write: Proven, { atMs, answer }: Sighting): Proven {
  const { verify } = write
  const isSettled = verify !== null && atMs >= verify.sinceMs && answer.kind !== 'unreachable'
  return isSettled ? { ...write, verify: null } : write
}

function sawGood(lead: Lead, { atMs }: Sighting): Lead {
  return { ...lead, goodAtMs: Math.max(atMs, lead.goodAtMs ?? atMs) }
}

/** While etcd is lost, "not running" is weighed by time (`write-answer.ts`), not at once. */
function doubtBySighting(write: Leading, { answer, atMs }: Sighting, scene: Scene): Leading {
  const changed = Math.max(scene.member?.changed ?? 0, doubtedRevision(write))
  if (answer.kind === 'standby') return doubtIt(write, { kind: 'in-recovery', atMs, changed })
  if (answer.kind !== 'not-running' || scene.stale) return write
  return doubtIt(write, { kind: 'not-running', atMs, changed, state: answer.state })
}

/** Takes in a failure a client's connection met with. */
export function followTrouble(write: WriteState, trouble: Trouble, scene: Scene): WriteState {
  if (write.at === 'unknown' || write.at === 'vacant') return write
  if (trouble.member !== write.lead.member || !isNews(write.lead, trouble.atMs)) return write
  const { what, atMs } = trouble
  if (what === 'session-lost') return verifySoon(write, atMs, scene.nowMs)
  if (write.at === 'proven' && atMs < write.asOfMs) return verifySoon(write, atMs, scene.nowMs)
  if (write.at === 'proving' && atMs < write.doubt.atMs) return write
  const changed = Math.max(scene.member?.changed ?? 0, doubtedRevision(write))
  const silentSinceMs = isTriable(write, what) ? atMs : null
  return doubtIt(write, { kind: 'trouble', atMs, changed, what, silentSinceMs })
}

/** Nothing was said against its being out of recovery: it may be tried again without an answer. */
function isTriable(write: Leading, what: TroubleKind): boolean {
  if (what === 'in-hot-standby') return false
  if (write.at === 'proven') return true
  return write.doubt.kind === 'trouble' && write.doubt.silentSinceMs !== null
}

function verifySoon(write: Leading, sinceMs: number, nowMs: number): Leading {
  if (write.at === 'proving') return write
  return { ...write, verify: { sinceMs, untilMs: nowMs + VERIFY_LIMIT_MS } }
}

/** Lets go of a wish for an answer that nobody gave in time. */
export function expireVerify(write: WriteState, nowMs: number): WriteState {
  if (write.at !== 'proven' || write.verify === null || nowMs < write.verify.untilMs) return write
  return { ...write, verify: null }
}

function doubtedRevision(write: Leading): number {
  return write.at === 'proving' ? write.doubt.changed : write.keyChanged
}
