/**
 * Who waits for which route, first come first served, and which backends may be dialled now. A line
 * is served at most `connectWindow` attempts at a time per backend, so a new primary is not hit by
 * everyone at once; a backend that failed an attempt is left alone for a moment, growing from
 * `BACKOFF_MIN_MS`, or until the control process says something new.
 */

import { orderBackends } from '../../core/routing/pick.ts'
import type { Backend, RouteTable, Target } from '../../core/routing/types.ts'
import { RingQueue } from '../../kit/ring-queue.ts'

const BACKOFF_MIN_MS = 20
const BACKOFF_MAX_MS = 500

export type Waiter = { readonly listener: string; readonly target: Target }

type Guard = { failures: number; untilMs: number }

export class WaitLines<W extends Waiter> {
  readonly #lines = new Map<string, RingQueue<W>>()
  readonly #guards = new Map<string, Guard>()
  readonly #dialling = new Map<string, number>()
  readonly #connections: (member: string) => number
  readonly #limit: number
  #turn = 0

  constructor(limit: number, connections: (member: string) => number) {
    this.#limit = limit
    this.#connections = connections
  }

  /** False when the line is full. */
  join(waiter: W, front: boolean): boolean {
    const key = lineOf(waiter)
    let line = this.#lines.get(key)
    if (line === undefined) {
      line = new RingQueue<W>(this.#limit)
      this.#lines.set(key, line)
    }
    return front ? line.pushFront(waiter) : line.push(waiter)
  }

  leave(waiter: W): boolean {
    return this.#lines.get(lineOf(waiter))?.remove(waiter) ?? false
  }

  has(waiter: W): boolean {
    return this.#lines.get(lineOf(waiter))?.has(waiter) ?? false
  }

  get size(): number {
    let size = 0
    for (const line of this.#lines.values()) size += line.size
    return size
  }

  *waiting(): Generator<W> {
    for (const line of this.#lines.values()) yield* line
  }

  /** Serves all lines as far as routes and windows allow; `connect` is called for each served. */
  serve(
    table: RouteTable | null,
    window: number,
    now: number,
    connect: (w: W, to: Backend) => void,
  ) {
    for (const line of this.#lines.values()) {
      for (let next = line.peek(); next !== undefined; next = line.peek()) {
        const backend = this.#choose(table, next, window, now)
        if (backend === null) break
        line.remove(next)
        this.#dialling.set(backend.member, (this.#dialling.get(backend.member) ?? 0) + 1)
        connect(next, backend)
      }
    }
  }

  /** An attempt is over. */
  dialed(member: string, worked: boolean, now: number): void {
    const left = (this.#dialling.get(member) ?? 1) - 1
    if (left > 0) this.#dialling.set(member, left)
    else this.#dialling.delete(member)
    if (worked) this.#guards.delete(member)
    else {
      const failures = (this.#guards.get(member)?.failures ?? 0) + 1
      const pause = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(failures - 1, 10))
      this.#guards.set(member, { failures, untilMs: now + pause })
    }
  }

  /** The control process knows better now. */
  forgetFailures(): void {
    this.#guards.clear()
  }

  /** When a backend that failed may be tried again; null if none is being left alone. */
  nextTryMs(): number | null {
    let next: number | null = null
    for (const guard of this.#guards.values()) next = Math.min(next ?? guard.untilMs, guard.untilMs)
    return next
  }

  #choose(table: RouteTable | null, waiter: W, window: number, now: number): Backend | null {
    const route = table?.listeners[waiter.listener]?.[waiter.target]
    if (route === undefined || route.kind === 'held') return null
    const order = orderBackends(route, this.#connections, this.#turn, Math.random())
    const backend = order.find((candidate) => {
      const guard = this.#guards.get(candidate.member)
      if (guard !== undefined && guard.untilMs > now) return false
      return (this.#dialling.get(candidate.member) ?? 0) < window
    })
    if (backend === undefined) return null
    this.#turn++
    return backend
  }
}

function lineOf(waiter: Waiter): string {
  return `${waiter.listener}\0${waiter.target}`
}
