/**
 * A worker's connection to the control process. It is dialled again for ever: a control process that
 * was killed comes back, or a successor takes its place, and this worker serves meanwhile.
 */
import type { Socket } from 'node:net'
import type { FromWorker, ToWorker } from '../../core/fleet/messages.ts'
import { dialControl } from '../../io/processes/control-socket.ts'
import { readMessages, sendMessage } from '../../io/processes/lines.ts'

const REDIAL_MIN_MS = 50
const REDIAL_MAX_MS = 250

export interface LinkEvents {
  /** Connected: what to introduce ourselves with. */
  onOpen(): FromWorker
  onMessage(message: ToWorker): void
  onLost(): void
}

export class ControlLink {
  #socket: Socket | null = null
  #closed = false
  readonly #path: string
  readonly #events: LinkEvents

  constructor(path: string, events: LinkEvents) {
    this.#path = path
    this.#events = events
    void this.#dial(REDIAL_MIN_MS)
  }

  send(message: FromWorker): void {
    if (this.#socket !== null) sendMessage(this.#socket, message)
  }

  /** What was sent still leaves; nothing is dialled any more. */
  close(): void {
    this.#closed = true
    this.#socket?.end()
  }

  async #dial(pauseMs: number): Promise<void> {
    if (this.#closed) return
    const socket = await dialControl(this.#path)
    if (socket === null) {
      setTimeout(() => void this.#dial(Math.min(pauseMs * 2, REDIAL_MAX_MS)), pauseMs)
      return
    }
    this.#socket = socket
    readMessages(socket, (message) => this.#events.onMessage(message as ToWorker))
    socket.on('close', () => {
      this.#socket = null
      if (this.#closed) return
      this.#events.onLost()
      void this.#dial(REDIAL_MIN_MS)
    })
    sendMessage(socket, this.#events.onOpen())
  }
}
