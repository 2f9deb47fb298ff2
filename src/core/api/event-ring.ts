/**
 * The last events of this control process, for readers that come back: bounded, oldest first out.
 * Ids are `<epoch>-<number>`; one from another epoch (an earlier process) is answered with all we
 * have, because what it missed can't be told apart.
 */
import type { RingedEvent } from './types.ts'

export const EVENTS_KEPT_MAX = 1000

export class EventRing {
  readonly #epoch: string
  readonly #kept: RingedEvent[] = []
  #count = 0

  /** `epoch` must differ between processes, such as the start time in base 36. */
  constructor(epoch: string) {
    this.#epoch = epoch
  }

  push(atMs: number, kind: string, data: Readonly<Record<string, unknown>>): RingedEvent {
    this.#count += 1
    const event = {
      id: `${this.#epoch}-${this.#count}`,
      at: new Date(atMs).toISOString(),
      kind,
      data,
    }
    this.#kept[(this.#count - 1) % EVENTS_KEPT_MAX] = event
    return event
  }

  /** What came after `lastId`, oldest first; everything kept when it is null or not ours. */
  since(lastId: string | null): RingedEvent[] {
    const first = Math.max(0, this.#count - EVENTS_KEPT_MAX)
    const from = Math.max(first, this.#numberOf(lastId))
    const events: RingedEvent[] = []
    for (let at = from; at < this.#count; at += 1) events.push(this.#kept[at % EVENTS_KEPT_MAX]!)
    return events
  }

  #numberOf(id: string | null): number {
    const [epoch, number] = id?.split('-') ?? []
    const parsed = epoch === this.#epoch ? Number(number) : 0
    return Number.isSafeInteger(parsed) && parsed >= 0 && parsed <= this.#count ? parsed : 0
  }
}

/** One event as server-sent events want it. */
export function formatEvent(event: RingedEvent): string {
  const data = JSON.stringify({ at: event.at, kind: event.kind, ...event.data })
  return `id: ${event.id}\nevent: ${event.kind}\ndata: ${data}\n\n`
}
