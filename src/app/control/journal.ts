/** What happened, for `GET /events`: the ring of the last events and those who listen now. */
import { EventRing } from '../../core/api/event-ring.ts'
import type { RingedEvent } from '../../core/api/types.ts'
import type { Clock } from '../../io/clock/clock.ts'

export type EventKind =
  | 'decision'
  | 'swap'
  | 'hold'
  | 'open'
  | 'etcd-live'
  | 'etcd-lost'
  | 'worker-started'
  | 'worker-serving'
  | 'worker-died'
  | 'worker-leaving'
  | 'worker-event'
  | 'reload'
  | 'leaving'

export class Journal {
  readonly #clock: Clock
  readonly #ring: EventRing
  readonly #readers = new Set<(event: RingedEvent) => void>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#ring = new EventRing(Math.floor(clock.nowMs()).toString(36))
  }

  emit(kind: EventKind, data: Readonly<Record<string, unknown>>): void {
    const event = this.#ring.push(this.#clock.nowMs(), kind, data)
    for (const reader of this.#readers) reader(event)
  }

  since(lastId: string | null): RingedEvent[] {
    return this.#ring.since(lastId)
  }

  /** Calls `reader` for each further event until the answer is called. */
  listen(reader: (event: RingedEvent) => void): () => void {
    this.#readers.add(reader)
    return () => this.#readers.delete(reader)
  }
}
