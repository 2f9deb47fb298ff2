/** The ports a worker has open, brought in line with each new set of listeners. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ListenAddress, WorkerListener } from '../../core/fleet/messages.ts'
import { type OpenPort, openPort, type Peer } from '../../io/sockets/listener.ts'
import type { Wire } from '../../io/sockets/wire.ts'

export type PortFault = { readonly listener: string; readonly what: string }

/** How long a turn of the event loop may take to count as quiet, and how many are waited for. */
const QUIET_TURN_MS = 0.2
const QUIET_TURNS_MAX = 1000

type Accept = (listener: string, target: WorkerListener['target'], wire: Wire, peer: Peer) => void
type Held = { port: OpenPort; listener: WorkerListener }

export class Ports {
  /** Unix sockets belong to one worker at a time, the one that was told to own them. */
  ownsUnixSockets = false
  readonly #open = new Map<string, Held>()
  readonly #accept: Accept
  #accepted = 0

  constructor(accept: Accept) {
    this.#accept = accept
  }

  /**
   * Opens what is missing, closes what is not wanted any more, leaves the rest alone. Answers what
   * could not be opened; the others work.
   */
  async follow(listeners: readonly WorkerListener[]): Promise<PortFault[]> {
    const wanted = new Map<string, { address: ListenAddress; listener: WorkerListener }>()
    for (const listener of listeners) {
      for (const address of listener.addresses) {
        if (address.kind === 'unix' && !this.ownsUnixSockets) continue
        wanted.set(nameOf(address), { address, listener })
      }
    }
    for (const [name, held] of this.#open) {
      if (wanted.has(name)) continue
      this.#open.delete(name)
      await this.#quietTurn()
      await held.port.close()
    }
    const faults: PortFault[] = []
    for (const [name, { address, listener }] of wanted) {
      const fault = await this.#ensure(name, address, listener)
      if (fault !== null) faults.push({ listener: listener.name, what: fault })
    }
    return faults
  }

  async close(): Promise<void> {
    await this.#quietTurn()
    const open = [...this.#open.values()]
    this.#open.clear()
    await Promise.all(open.map((held) => held.port.close()))
  }

  /**
   * Waits for a short turn of the event loop in which nobody came. What is in the kernel's queue when
   * a port closes is reset, and between the last accept of a busy turn and its end much can come in.
   */
  async #quietTurn(): Promise<void> {
    for (let turn = 0; turn < QUIET_TURNS_MAX; turn++) {
      const before = this.#accepted
      const sinceMs = performance.now()
      await nextTurn()
      if (this.#accepted === before && performance.now() - sinceMs < QUIET_TURN_MS) return
    }
  }

  async #ensure(
    name: string,
    address: ListenAddress,
    listener: WorkerListener,
  ): Promise<string | null> {
    const known = this.#open.get(name)
    if (known !== undefined) {
      known.listener = listener
      return null
    }
    try {
      const port = await openPort(address, (wire, peer) => {
        this.#accepted++
        const now = this.#open.get(name)?.listener ?? listener
        this.#accept(now.name, now.target, wire, peer)
      })
      this.#open.set(name, { port, listener })
      return null
    } catch (error) {
      return `${name}: ${error instanceof Error ? error.message : String(error)}`
    }
  }
}

function nameOf(address: ListenAddress): string {
  if (address.kind === 'unix') return address.path
  return address.host.includes(':')
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`
}
