/**
 * A bounded first-in-first-out queue of distinct items in which any item can be removed, or put back
 * at the head, in constant amortised time. For waiters that may leave at any moment.
 *
 *     slots   [ . | b | gone | d | e | . | . | . ]      capacity: a power of two
 *                   ^head              ^tail            places: b -> 1, d -> 3, e -> 4
 *
 * `head` and `tail` only count; masked they are an index. A removed item leaves a gap; head
 * always stands on a living item. When head and tail are a whole ring apart, the queue moves to a new ring: twice the
 * size if more than half is alive, else the same size without gaps, so at least half is free after it
 * and the move is paid for. About 60 bytes an item, and none to speak of once it was empty.
 */
const GONE = Symbol('gone')
const CAPACITY_MIN = 16

export class RingQueue<T extends NonNullable<unknown>> {
  /** Items it takes at most. */
  readonly limit: number
  #slots: (T | typeof GONE)[] = emptySlots(CAPACITY_MIN)
  #head = 0
  #tail = 0
  readonly #places = new Map<T, number>()

  constructor(limit: number) {
    this.limit = limit
  }

  get size(): number {
    return this.#places.size
  }

  has(item: T): boolean {
    return this.#places.has(item)
  }

  /** False when the queue is full. An item can wait only once: a second time is a bug and throws. */
  push(item: T): boolean {
    if (!this.#admits(item)) return false
    this.#put(item, this.#tail)
    this.#tail += 1
    return true
  }

  /** Puts an item before all others; else as `push`, so a full queue refuses this one too. */
  pushFront(item: T): boolean {
    if (!this.#admits(item)) return false
    this.#head -= 1
    this.#put(item, this.#head)
    return true
  }

  /** Takes the item that waits longest; undefined when there is none. */
  shift(): T | undefined {
    const item = this.peek()
    if (item !== undefined) this.remove(item)
    return item
  }

  /** The item that waits longest, without taking it. */
  peek(): T | undefined {
    const item = this.#slots[this.#index(this.#head)]
    return item === GONE ? undefined : item
  }

  /** Takes out an item wherever it stands; false when it is not in the queue. */
  remove(item: T): boolean {
    const place = this.#places.get(item)
    if (place === undefined) return false
    this.#places.delete(item)
    this.#slots[this.#index(place)] = GONE
    if (this.size === 0) this.#reset()
    else while (this.#slots[this.#index(this.#head)] === GONE) this.#head += 1
    return true
  }

  /** In order. Removing while iterating is fine; adding is not. */
  *[Symbol.iterator](): Generator<T, undefined, undefined> {
    for (let place = this.#head; place < this.#tail; place += 1) {
      const item = this.#slots[this.#index(place)]
      if (item !== GONE && item !== undefined) yield item
    }
  }

  #admits(item: T): boolean {
    if (this.#places.has(item)) throw new Error('the item is already in the queue')
    if (this.size >= this.limit) return false
    if (this.#tail - this.#head === this.#slots.length) this.#move()
    return true
  }

  #put(item: T, place: number): void {
    this.#slots[this.#index(place)] = item
    this.#places.set(item, place)
  }

  #index(place: number): number {
    return place & (this.#slots.length - 1)
  }

  #move(): void {
    const items = [...this]
    const capacity = this.#slots.length
    this.#slots = emptySlots(items.length > capacity / 2 ? capacity * 2 : capacity)
    this.#head = 0
    this.#tail = items.length
    for (const [place, item] of items.entries()) this.#put(item, place)
  }

  #reset(): void {
    this.#head = 0
    this.#tail = 0
    if (this.#slots.length > CAPACITY_MIN) this.#slots = emptySlots(CAPACITY_MIN)
  }
}

function emptySlots<T>(capacity: number): (T | typeof GONE)[] {
  return new Array<T | typeof GONE>(capacity).fill(GONE)
}
