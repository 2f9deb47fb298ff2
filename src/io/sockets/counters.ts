/** What a worker counts for its metrics, per listener and backend. Totals never go down. */
import { type EndReason, HOLD_BUCKETS_MS, type WorkerStats } from '../../core/fleet/messages.ts'
import type { Session } from './session.ts'

type ListenerCount = {
  accepted: number
  bytesIn: number
  bytesOut: number
  ended: Partial<Record<EndReason, number>>
  holdBuckets: number[]
  holdSumMs: number
  holdCount: number
}

export class Counters {
  readonly #listeners = new Map<string, ListenerCount>()
  readonly #failed = new Map<string, number>()

  accepted(listener: string): void {
    this.#of(listener).accepted++
  }

  ended(listener: string, reason: EndReason): void {
    const { ended } = this.#of(listener)
    ended[reason] = (ended[reason] ?? 0) + 1
  }

  carried(listener: string, bytesIn: number, bytesOut: number): void {
    const count = this.#of(listener)
    count.bytesIn += bytesIn
    count.bytesOut += bytesOut
  }

  heldFor(listener: string, ms: number): void {
    const count = this.#of(listener)
    count.holdSumMs += ms
    count.holdCount++
    for (const [at, bound] of HOLD_BUCKETS_MS.entries()) {
      if (ms <= bound) count.holdBuckets[at]!++
    }
  }

  failed(member: string): void {
    this.#failed.set(member, (this.#failed.get(member) ?? 0) + 1)
  }

  /** Sessions that still live are added to what ended ones have carried. */
  read(
    listeners: readonly string[],
    sessions: ReadonlySet<Session>,
    connections: ReadonlyMap<string, number>,
  ): Pick<WorkerStats, 'listeners' | 'backends'> {
    const live = new Map<string, { current: number; held: number; in: number; out: number }>()
    for (const session of sessions) {
      const sum = live.get(session.listener) ?? { current: 0, held: 0, in: 0, out: 0 }
      sum.current++
      if (session.holdsLineSlot) sum.held++
      if (session.state === 'established') {
        sum.in += session.tunnel!.bytesIn
        sum.out += session.tunnel!.bytesOut
      }
      live.set(session.listener, sum)
    }
    const names = new Set([...listeners, ...live.keys()])
    return {
      listeners: Object.fromEntries(
        [...names].map((name) => [name, this.#listener(name, live.get(name))]),
      ),
      backends: this.#backends(connections),
    }
  }

  #listener(name: string, live?: { current: number; held: number; in: number; out: number }) {
    const count = this.#of(name)
    return {
      ...count,
      ended: { ...count.ended },
      holdBuckets: [...count.holdBuckets],
      current: live?.current ?? 0,
      held: live?.held ?? 0,
      bytesIn: count.bytesIn + (live?.in ?? 0),
      bytesOut: count.bytesOut + (live?.out ?? 0),
    }
  }

  #backends(connections: ReadonlyMap<string, number>): WorkerStats['backends'] {
    const members = new Set([...connections.keys(), ...this.#failed.keys()])
    return Object.fromEntries(
      [...members].map((member) => [
        member,
        { current: connections.get(member) ?? 0, failed: this.#failed.get(member) ?? 0 },
      ]),
    )
  }

  #of(listener: string): ListenerCount {
    let count = this.#listeners.get(listener)
    if (count === undefined) {
      const holdBuckets = HOLD_BUCKETS_MS.map(() => 0)
      count = {
        accepted: 0,
        bytesIn: 0,
        bytesOut: 0,
        ended: {},
        holdBuckets,
        holdSumMs: 0,
        holdCount: 0,
      }
      this.#listeners.set(listener, count)
    }
    return count
  }
}
