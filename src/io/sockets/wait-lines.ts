/**
 * Who waits for which route, first come first served, and which backends may be dialled now. A line
 * is served at most `connectWindow` attempts at a time per backend, so a new primary is not hit by
 * everyone at once. A backend that failed an attempt is left alone for a moment, growing from
 * `BACKOFF_MIN_MS`, and then tried by one client at a time until one succeeds, or until the control
 * process says something new.
 */
import { orderBackends } from '../../core/routing/pick.ts'
import type { Backend, RouteTable, Target } from '../../core/routing/types.ts'
import { RingQueue } from '../../kit/ring-queue.ts'

const BACKOFF_MIN_MS = 10
/** Short, because a server that has come up should not wait for us, and one attempt costs little. */
const BACKOFF_MAX_MS = 100

export type Waiter = {
  readonly listener: string
  readonly target: Target
  /** Its place in the order of arrival; 0 until it first joins a line. */
  ticket: number
}

type Guard = { failures: number; untilMs: number }

export class WaitLines<W extends Waiter> {
  readonly #lines = new Map<string, Line<W>>()
  readonly #guards = new Map<string, Guard>()
  readonly #dialling = new Map<string, number>()
  readonly #connections: (member: string) => number
  readonly #limit: number
  #turn = 0
  #tickets = 0

  constructor(limit: number, connections: (member: string) => number) {
    this.#limit = limit
    this.#connections = connections
  }

  /** False when the line is full. One that had its turn before comes back to its old place. */
  join(waiter: W): boolean {
    const key = lineOf(waiter)
    let line = this.#lines.get(key)
    if (line === undefined) {
      line = new Line<W>(this.#limit)
      this.#lines.set(key, line)
    }
    if (waiter.ticket !== 0) return line.comeBack(waiter)
    waiter.ticket = ++this.#tickets
    return line.queue.push(waiter)
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

  /** An attempt is over; `nothing`: it was given up here and says nothing of the backend. */
  dialed(member: string, outcome: 'worked' | 'failed' | 'nothing', now: number): void {
    const left = (this.#dialling.get(member) ?? 1) - 1
    if (left > 0) this.#dialling.set(member, left)
    else this.#dialling.delete(member)
    if (outcome === 'worked') this.#guards.delete(member)
    else if (outcome === 'failed') this.leaveAlone(member, now)
  }

  /** A backend does not do what its route promises: it is left alone for a moment. */
  leaveAlone(member: string, now: number): void {
    const guard = this.#guards.get(member)
    // Attempts that began together fail together: they count as one.
    if (guard !== undefined && guard.untilMs > now) return
    const failures = (guard?.failures ?? 0) + 1
    const pause = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(failures - 1, 10))
    this.#guards.set(member, { failures, untilMs: now + pause })
  }

  /** The control process knows better now. */
  forgetFailures(): void {
    this.#guards.clear()
  }

  /** When the next backend that failed may be tried again; null if none is being left alone. */
  nextTryMs(now: number): number | null {
    let next: number | null = null
    for (const { untilMs } of this.#guards.values()) {
      if (untilMs > now) next = Math.min(next ?? untilMs, untilMs)
    }
    return next
  }

  #choose(table: RouteTable | null, waiter: W, window: number, now: number): Backend | null {
    const route = table?.listeners[waiter.listener]?.[waiter.target]
    if (route === undefined || route.kind === 'held') return null
    const order = orderBackends(route, this.#connections, this.#turn, Math.random())
    const backend = order.find((candidate) => {
      const guard = this.#guards.get(candidate.member)
      if (guard !== undefined && guard.untilMs > now) return false
      return (this.#dialling.get(candidate.member) ?? 0) < (guard === undefined ? window : 1)
    })
    if (backend === undefined) return null
    this.#turn++
    return backend
  }
}

/** Those that never had a turn, and before them the few that had one, in their old order. */
class Line<W extends Waiter> {
  readonly queue: RingQueue<W>
  /** No longer than the connection windows of all backends together, or nearly so. */
  #again: W[] = []

  constructor(limit: number) {
    this.queue = new RingQueue<W>(limit)
  }

  get size(): number {
    return this.queue.size + this.#again.length
  }

  peek(): W | undefined {
    return this.#again[0] ?? this.queue.peek()
  }

  has(waiter: W): boolean {
    return this.queue.has(waiter) || this.#again.includes(waiter)
  }

  comeBack(waiter: W): boolean {
    if (this.size >= this.queue.limit) return false
    const later = this.#again.findIndex(({ ticket }) => ticket > waiter.ticket)
    this.#again.splice(later < 0 ? this.#again.length : later, 0, waiter)
    return true
  }

  remove(waiter: W): boolean {
    const at = this.#again.indexOf(waiter)
    if (at >= 0) this.#again.splice(at, 1)
    return at >= 0 || this.queue.remove(waiter)
  }
}

function lineOf(waiter: Waiter): string {
  return `${waiter.listener}\0${waiter.target}`
}
