/**
 * Brings tables to the workers and measures how long that takes. The order is decided in
 * `core/fleet/publishing`; here are the sending, the acknowledgements and the clock.
 */
import {
  NOTHING_PUBLISHED,
  offerTable,
  type PublishStep,
  primariesOf,
  reviewAcks,
} from '../../core/fleet/publishing.ts'
import type { RouteTable } from '../../core/routing/types.ts'
import type { Clock } from '../../io/clock/clock.ts'

export type PublisherPorts = {
  readonly clock: Clock
  /** To every connected worker. */
  broadcast(table: RouteTable): void
  /** Pids of the workers that may serve by some table and would say when they switched. */
  owing(): readonly number[]
  /** The last worker switched to a published table. */
  onSwitched(report: SwitchReport): void
}

export type SwitchReport = {
  readonly table: RouteTable
  /** From the event that caused the table to the last acknowledgement. */
  readonly latencyMs: number
  /** Sessions cut, all workers together. */
  readonly cut: number
  /** The write route now leads to another primary than the last time it was open. */
  readonly isSwap: boolean
}

type Awaited = { table: RouteTable; causeAtMs: number; cut: number; isSwap: boolean }

/** Tables awaiting acknowledgement at one time; older ones are given up. */
const AWAITED_MAX = 100

export class Publisher {
  readonly #ports: PublisherPorts
  readonly #acked = new Map<number, number>()
  readonly #causes = new Map<number, number>()
  #publishing = NOTHING_PUBLISHED
  #awaited: Awaited[] = []
  #lastPrimary: string | null = null
  #cancelTimer: (() => void) | null = null
  #isBegun = false
  #early: { table: RouteTable; causeAtMs: number } | null = null

  constructor(ports: PublisherPorts) {
    this.#ports = ports
  }

  /** What workers were told last. */
  get table(): RouteTable | null {
    return this.#publishing.sent
  }

  /** From now on it is known which workers live; before that a table only waits. */
  begin(): void {
    this.#isBegun = true
    if (this.#early !== null) this.offer(this.#early.table, this.#early.causeAtMs)
    this.#early = null
  }

  /** A table was decided because of something that came in at `causeAtMs`. */
  offer(table: RouteTable, causeAtMs: number): void {
    if (!this.#isBegun) {
      this.#early = { table, causeAtMs }
      return
    }
    this.#causes.set(table.serial, causeAtMs)
    this.#perform(offerTable(this.#publishing, table, this.#ports.clock.nowMs()))
  }

  noteSwitched(pid: number, serial: number, cut: number): void {
    this.#acked.set(pid, serial)
    for (const awaited of this.#awaited) if (awaited.table.serial === serial) awaited.cut += cut
    this.review()
  }

  /** A worker said hello: it has switched to nothing of ours yet. */
  noteJoined(pid: number): void {
    this.#acked.set(pid, 0)
  }

  /** It hung up or ended: whether it still owes an answer is `owing`'s to say. */
  noteGone(pid: number): void {
    this.#acked.delete(pid)
    this.review()
  }

  /** Looks again whether everybody has switched. */
  review(): void {
    const acked = this.#ackedByAll()
    this.#report(acked)
    this.#perform(reviewAcks(this.#publishing, acked, this.#ports.clock.nowMs()))
  }

  close(): void {
    this.#cancelTimer?.()
  }

  #perform({ publishing, send }: PublishStep): void {
    this.#publishing = publishing
    if (send !== null) this.#send(send)
    this.#cancelTimer?.()
    const { clock } = this.#ports
    const waitMs = publishing.cutting === null ? null : publishing.cutting.untilMs - clock.nowMs()
    this.#cancelTimer = waitMs === null ? null : clock.after(waitMs, () => this.review())
    if (send !== null) this.review()
  }

  #send(table: RouteTable): void {
    const now = this.#ports.clock.nowMs()
    const causeAtMs = this.#causes.get(table.serial) ?? now
    for (const serial of this.#causes.keys())
      if (serial <= table.serial) this.#causes.delete(serial)
    this.#awaited.push({ table, causeAtMs, cut: 0, isSwap: this.#noteSwap(table) })
    if (this.#awaited.length > AWAITED_MAX) this.#awaited.shift()
    this.#ports.broadcast(table)
  }

  #noteSwap(table: RouteTable): boolean {
    const primary = primariesOf(table)[0]
    if (primary === undefined) return false
    const isSwap = this.#lastPrimary !== null && this.#lastPrimary !== primary
    this.#lastPrimary = primary
    return isSwap
  }

  #ackedByAll(): number {
    const serials = this.#ports.owing().map((pid) => this.#acked.get(pid) ?? 0)
    return Math.min(Number.MAX_SAFE_INTEGER, ...serials)
  }

  #report(acked: number): void {
    const done = this.#awaited.filter(({ table }) => table.serial <= acked)
    if (done.length === 0) return
    this.#awaited = this.#awaited.filter(({ table }) => table.serial > acked)
    if (this.#ports.owing().length === 0) return
    const now = this.#ports.clock.nowMs()
    for (const { table, causeAtMs, cut, isSwap } of done) {
      this.#ports.onSwitched({ table, cut, isSwap, latencyMs: now - causeAtMs })
    }
  }
}
