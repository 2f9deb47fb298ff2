/** What the absence of etcd does to the write route: a leader has to prove itself by its own word. */
import type { EtcdHealth } from './input.ts'
import type { Lead } from './write-state.ts'

/** While etcd is lost, new connections wait when the leader was silent for this long. */
export const STALE_TRUST_MS = 2000

export type Outage = {
  readonly sinceMs: number
  /** When a step first heard of it: the leader could not be asked before. */
  readonly noticedAtMs: number
  readonly why: string
}

type Silence = Pick<Outage, 'sinceMs' | 'noticedAtMs'>
type Word = Pick<Lead, 'goodAtMs'>

/** Null while etcd is live. */
export function followEtcd(before: Outage | null, etcd: EtcdHealth, nowMs: number): Outage | null {
  if (etcd.kind === 'live') return null
  if (before !== null) return before
  return { sinceMs: Math.min(etcd.sinceMs, nowMs), noticedAtMs: nowMs, why: etcd.why }
}

/** New connections are trusted to the leader before this instant. */
export function trustedUntilMs(outage: Silence, lead: Word): number {
  return Math.max(outage.noticedAtMs, lead.goodAtMs ?? outage.noticedAtMs) + STALE_TRUST_MS
}

/**
 * Established sessions stay before this instant. Counted from the last word of etcd or of the leader,
 * whichever is later: after a whole ttl somebody else may lead. A process that was frozen that long
 * hears of the silence only now: the leader is asked before anybody is cut.
 */
export function keptUntilMs(outage: Silence, lead: Word, ttlMs: number): number {
  const byTtl = Math.max(outage.sinceMs, lead.goodAtMs ?? outage.sinceMs) + ttlMs
  return Math.max(byTtl, outage.noticedAtMs + STALE_TRUST_MS)
}
