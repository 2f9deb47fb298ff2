/**
 * A worker's share of a limit that holds for all workers of a router together: slots are asked of
 * the control process in batches, taken and put back here. Pure bookkeeping; `Asks` says what to send.
 * Without a control process (it was killed) the worker counts alone against the whole limit.
 */

/** So many ticks without an answer, and the control process counts as gone. */
const PATIENCE_TICKS = 5

/** Slots asked for at a time, and how many free ones are kept for the next clients. */
const BATCH = 16
const SPARE_MAX = 32

export type Asks = {
  want(count: number): void
  giveBack(count: number): void
}

export class Purse<Claimant> {
  #inUse = 0
  #free = 0
  #wanted = 0
  #ticksAwaited = 0
  #alone = true
  #limit: number
  readonly #waiting = new Map<Claimant, (admitted: boolean) => void>()
  readonly #asks: Asks

  constructor(limit: number, asks: Asks) {
    this.#limit = limit
    this.#asks = asks
  }

  /** What this worker holds, used or not: told to a control process when dialling in. */
  get held(): number {
    return this.#inUse + this.#free
  }

  get inUse(): number {
    return this.#inUse
  }

  setLimit(limit: number): void {
    this.#limit = limit
  }

  /**
   * Takes a slot for `claimant`: at once (true, false) or after an answer of the control process
   * (`pending`; then `later` is called once, unless `drop` was called before).
   */
  take(claimant: Claimant, later: (admitted: boolean) => void): boolean | 'pending' {
    if (this.#alone) {
      if (this.#inUse >= this.#limit) return false
      this.#inUse++
      if (this.#free > 0) this.#free--
      return true
    }
    if (this.#free > 0) {
      this.#free--
      this.#inUse++
      return true
    }
    this.#waiting.set(claimant, later)
    this.#ask()
    return 'pending'
  }

  /** The claimant leaves; false if it had its answer already (then `putBack` what it took). */
  drop(claimant: Claimant): boolean {
    return this.#waiting.delete(claimant)
  }

  putBack(): void {
    this.#inUse--
    this.#free++
    if (this.#alone || this.#free <= SPARE_MAX) return
    this.#free -= BATCH
    this.#asks.giveBack(BATCH)
  }

  /** The control process answered `want`; 0 means that there are none. */
  granted(count: number): void {
    this.#alone = false
    this.#wanted = 0
    this.#free += count
    for (const [claimant, later] of [...this.#waiting]) {
      if (this.#free === 0 && count > 0) break
      this.#waiting.delete(claimant)
      const admitted = this.#free > 0
      if (admitted) {
        this.#free--
        this.#inUse++
      }
      later(admitted)
    }
    if (this.#waiting.size > 0) this.#ask()
  }

  /** The control process needs slots elsewhere: everything that is free goes back, even if nothing. */
  reclaim(): void {
    const count = this.#free
    this.#free = 0
    this.#asks.giveBack(count)
  }

  /** A control process listens again: from now on it decides. */
  joined(): void {
    this.#alone = false
    this.#wanted = 0
    if (this.#waiting.size > 0) this.#ask()
  }

  /** Called every 100 ms or so while clients wait: a frozen control process must not hold them up. */
  tick(): void {
    if (this.#alone || this.#wanted === 0) return
    this.#ticksAwaited++
    if (this.#ticksAwaited >= PATIENCE_TICKS) this.left()
  }

  /** The control process is gone: those who wait for its answer are judged here. */
  left(): void {
    this.#alone = true
    for (const [claimant, later] of [...this.#waiting]) {
      this.#waiting.delete(claimant)
      const admitted = this.#inUse < this.#limit
      if (admitted) {
        this.#inUse++
        if (this.#free > 0) this.#free--
      }
      later(admitted)
    }
  }

  #ask(): void {
    if (this.#wanted > 0) return
    this.#ticksAwaited = 0
    this.#wanted = Math.max(BATCH, this.#waiting.size)
    this.#asks.want(this.#wanted)
  }
}
