/** Asks all workers for their clients and puts the answers together; a worker may fail to answer. */
import type { ClientInfo } from '../../core/fleet/messages.ts'
import type { Clock } from '../../io/clock/clock.ts'

type Asking = {
  readonly owed: Set<number>
  readonly clients: ClientInfo[]
  readonly limit: number
  readonly done: () => void
}

const ANSWER_MS = 1000
/** Questions under way at one time; more are answered empty. */
const ASKING_MAX = 16

export class ClientLists {
  readonly #clock: Clock
  readonly #asking = new Map<number, Asking>()
  #lastId = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves with what came within `ANSWER_MS`, at most `limit` entries. */
  ask(
    pids: readonly number[],
    send: (pid: number, id: number) => boolean,
    limit: number,
  ): Promise<ClientInfo[]> {
    if (this.#asking.size >= ASKING_MAX || pids.length === 0) return Promise.resolve([])
    this.#lastId += 1
    const id = this.#lastId
    return new Promise((resolve) => {
      const clients: ClientInfo[] = []
      const done = () => {
        cancel()
        this.#asking.delete(id)
        resolve(clients)
      }
      const cancel = this.#clock.after(ANSWER_MS, done)
      this.#asking.set(id, { owed: new Set(pids), clients, limit, done })
      for (const pid of pids) if (!send(pid, id)) this.gone(pid)
    })
  }

  answer(pid: number, id: number, clients: readonly ClientInfo[]): void {
    const asking = this.#asking.get(id)
    if (asking === undefined) return
    asking.clients.push(...clients.slice(0, asking.limit - asking.clients.length))
    this.#settle(asking, pid)
  }

  gone(pid: number): void {
    for (const asking of this.#asking.values()) this.#settle(asking, pid)
  }

  #settle(asking: Asking, pid: number): void {
    asking.owed.delete(pid)
    if (asking.owed.size === 0) asking.done()
  }
}
