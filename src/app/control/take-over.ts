/**
 * Handing over to a successor without a gap: the successor gets ready while we serve, says so over
 * the control socket, and goes on when our end of that connection closes. Workers dial it next.
 */
import { dialControl } from '../../io/processes/control-socket.ts'
import { sendMessage } from '../../io/processes/lines.ts'
import { startSuccessor } from '../../io/processes/successor.ts'
import { signalProcess } from '../../io/processes/worker-process.ts'
import type { ControlProcess } from './control-process.ts'

export type TakeOver = {
  readonly kind: 'take-over'
  readonly pid: number
  readonly version: string
}

/** How long a successor may take to get ready before we give it up. */
const READY_MS = 30_000
/** How long the predecessor may take to let go. */
const LET_GO_MS = 10_000

/** The old side: starts a successor; `onReady` is called when it asks to take over. */
export class Succession {
  readonly #control: ControlProcess
  readonly #onReady: () => void
  #pid: number | null = null

  constructor(control: ControlProcess, onReady: () => void) {
    this.#control = control
    this.#onReady = onReady
  }

  start(): void {
    const { log } = this.#control.options
    if (this.#pid !== null) return log.warn({ pid: this.#pid }, 'a successor is starting already')
    const cancel = this.#control.clock.after(READY_MS, () => {
      if (this.#pid !== null) signalProcess(this.#pid, 'SIGKILL')
    })
    this.#pid = startSuccessor((how) => {
      cancel()
      this.#pid = null
      log.error({ how }, 'the successor ended before it was ready, going on')
    })
    if (this.#pid === null) {
      cancel()
      return log.error({}, 'could not start a successor')
    }
    log.info({ pid: this.#pid }, 'successor started')
  }

  /** True when `message` is the successor's and was taken. */
  take(message: object): boolean {
    const { kind, pid } = message as Partial<TakeOver>
    if (kind !== 'take-over') return false
    if (pid === this.#pid) this.#onReady()
    return true
  }
}

/** The new side: resolves when the predecessor has let go; false when it did not answer. */
export async function askToTakeOver(socketPath: string, version: string): Promise<boolean> {
  const socket = await dialControl(socketPath)
  if (socket === null) return false
  return new Promise((resolve) => {
    const deadline = setTimeout(() => socket.destroy(), LET_GO_MS)
    socket.on('close', () => {
      clearTimeout(deadline)
      resolve(true)
    })
    socket.resume()
    sendMessage(socket, { kind: 'take-over', pid: process.pid, version } satisfies TakeOver)
  })
}
