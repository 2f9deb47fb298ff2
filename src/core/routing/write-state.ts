/**
 * What is known about the write route between two steps. Plain data. The union follows the question
 * "is the holder of the leader key out of recovery?": nobody holds it, not proven, proven.
 */
import type { Term } from '../cluster/types.ts'
import type { Address, TroubleKind } from './types.ts'

/** Where a member was last seen to live. */
export type Home = {
  readonly host: string
  readonly port: number
  readonly apiUrl: string | null
}

/** One leadership: a holder of the leader key and what was learned about it since. */
export type Lead = {
  readonly member: string
  readonly term: Term
  /** When this term was first seen here. */
  readonly seenAtMs: number
  /** Its last address in this term; null while it never had a member key. */
  readonly home: Home | null
  /**
   * Where its sessions may stay: every address at which the route was open in this term, and `home`.
   * While there is none in this term, those of its term before; null: it never had one.
   */
  readonly stays: readonly Address[] | null
  /**
   * The newest revision of its member key, when it was first seen here, whether it says "running
   * primary", and the revision at which it last turned to saying so.
   */
  readonly key: {
    readonly changed: number
    readonly seenAtMs: number
    readonly isPrimary: boolean
    readonly turned: number | null
  } | null
  /** When the newest answer was asked for that showed it out of recovery and did not deny the lock. */
  readonly goodAtMs: number | null
}

/**
 * Why the leader is not (or no longer) known to be out of recovery. Only newer evidence lifts it: a
 * sighting asked after `atMs`, or a member key changed after etcd revision `changed`.
 */
export type Doubt = { readonly atMs: number; readonly changed: number } & (
  | { readonly kind: 'new-term' }
  | { readonly kind: 'in-recovery' }
  | { readonly kind: 'not-running'; readonly state: string }
  /** `silentSinceMs`: the leader answers nothing since then; null: only its own word lifts this. */
  | {
      readonly kind: 'trouble'
      readonly what: TroubleKind
      readonly silentSinceMs: number | null
    }
  | { readonly kind: 'member-key'; readonly role: string; readonly state: string }
)

/** Spaces re-openings when a leader keeps proving itself and connecting to it keeps failing. */
export type Pace = { readonly openedAtMs: number | null; readonly gapMs: number }

/** A wish for one answer from a leader that is trusted meanwhile. */
export type Verify = { readonly sinceMs: number; readonly untilMs: number }

export type WriteState =
  | { readonly at: 'unknown' }
  /** The leader key is gone; `last` held it and its sessions live on unless it is in recovery. */
  | { readonly at: 'vacant'; readonly last: Lead | null; readonly inRecovery: boolean }
  | { readonly at: 'proving'; readonly lead: Lead; readonly doubt: Doubt; readonly pace: Pace }
  | {
      readonly at: 'proven'
      readonly lead: Lead
      /** When the proof was asked for, or seen in etcd: what is older cannot undo it. */
      readonly asOfMs: number
      /** Revision of the member key last weighed. */
      readonly keyChanged: number
      readonly verify: Verify | null
      readonly pace: Pace
    }

/** Whose the newest term is, also while its key is gone. */
export function leadOf(write: WriteState): Lead | null {
  if (write.at === 'unknown') return null
  return write.at === 'vacant' ? write.last : write.lead
}
