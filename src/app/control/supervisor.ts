/**
 * Keeps the wanted workers alive: feeds `core/fleet/adoption` with what happens and carries out what
 * it decides. Says nothing to workers itself; that is the fleet's.
 */
import {
  decideFleet,
  type FleetAction,
  type FleetEvent,
  type FleetState,
  initialFleet,
  tickAfterMs,
  type Worker,
} from '../../core/fleet/adoption.ts'
import type { Clock } from '../../io/clock/clock.ts'
import type { Log } from '../../io/telemetry/log.ts'
import { assertNever } from '../../kit/assert-never.ts'
import type { Journal } from './journal.ts'

export type SupervisorPorts = {
  readonly clock: Clock
  readonly log: Log
  readonly journal: Journal
  /** Starts a worker; answers its pid, or null when it could not be started. */
  start(index: number, onExit: (pid: number, how: string) => void): number | null
  signal(pid: number, signal: NodeJS.Signals): boolean
  /** Whether `pid` still is a worker of this run directory. */
  isAlive(pid: number): boolean
  /** Workers an earlier control process left behind. */
  findWorkers(): readonly { readonly pid: number; readonly index: number }[]
  forget(pid: number, index: number): void
  adopt(pid: number): void
  /** `idle`: whether sessions between transactions may stay or are cut at once. */
  drain(pid: number, graceMs: number, idle: 'keep' | 'cut', words: string): void
  ownUnixSockets(pid: number): void
  /** It is dead, and its clients with it. */
  onGone(pid: number): void
}

export type SupervisorSettings = {
  readonly workers: number
  readonly version: string
  readonly graceMs: number
}

/** What a worker needs beyond its grace to close and exit. */
const EXIT_SLACK_MS = 2000
const EXIT_LOOK_MS = 25

export class Supervisor {
  readonly #ports: SupervisorPorts
  readonly #children = new Set<number>()
  readonly #queue: FleetEvent[] = []
  #state: FleetState
  #isBusy = false
  #isReleased = false
  #cancelTick: () => void = () => {}
  #restarts = 0

  constructor(ports: SupervisorPorts, settings: SupervisorSettings) {
    this.#ports = ports
    const { workers, version, graceMs } = settings
    this.#state = initialFleet(workers, version, graceMs, ports.clock.nowMs())
  }

  get workers(): readonly Worker[] {
    return [...this.#state.workers.values()].sort((a, b) => a.index - b.index || a.pid - b.pid)
  }

  get wanted(): number {
    return this.#state.wanted
  }

  /** Deaths of workers that were not told to leave. */
  get restarts(): number {
    return this.#restarts
  }

  /** Waits for workers that still live, starts those that are missing. */
  start(): void {
    const known = this.#ports.findWorkers()
    const workers = known.filter(({ pid }) => this.#ports.isAlive(pid))
    for (const it of known) if (!workers.includes(it)) this.#ports.forget(it.pid, it.index)
    this.apply({ kind: 'found', workers })
  }

  /** Takes in an event; safe to call from within an action. */
  apply(event: FleetEvent): void {
    if (this.#isReleased) return
    this.#queue.push(event)
    if (this.#isBusy) return
    this.#isBusy = true
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      this.#step(next)
    }
    this.#isBusy = false
    if (event.kind !== 'heard') this.#planTick()
  }

  /** The connection closed. An adopted worker is no child of ours: look whether it lives. */
  noteHungUp(pid: number): void {
    this.apply({ kind: 'hung-up', pid })
    if (!this.#children.has(pid) && !this.#ports.isAlive(pid)) this.#noteExit(pid, 'gone')
  }

  /** No further care: the workers live on for the next control process. */
  release(): void {
    this.#isReleased = true
    this.#cancelTick()
  }

  /** Lets every worker end: drained within `graceMs`, killed after it. Resolves when all are gone. */
  async stop(graceMs: number, words: string): Promise<void> {
    this.release()
    const { clock } = this.#ports
    for (const { pid, connected } of this.workers) {
      if (connected) this.#ports.drain(pid, graceMs, 'cut', words)
      else this.#ports.signal(pid, 'SIGTERM')
    }
    const untilMs = clock.nowMs() + graceMs + EXIT_SLACK_MS
    while (this.#living().length > 0 && clock.nowMs() < untilMs) {
      await new Promise<void>((resolve) => void clock.after(EXIT_LOOK_MS, resolve))
    }
    this.killAll()
  }

  /** Ends every worker at once. */
  killAll(): void {
    this.release()
    for (const { pid } of this.#living()) this.#ports.signal(pid, 'SIGKILL')
    for (const { pid, index } of this.workers) this.#ports.forget(pid, index)
  }

  #living(): Worker[] {
    return this.workers.filter(({ pid }) => this.#ports.isAlive(pid))
  }

  #step(event: FleetEvent): void {
    const { state, actions } = decideFleet(this.#state, this.#ports.clock.nowMs(), event)
    this.#state = state
    for (const action of actions) this.#perform(action)
  }

  #perform(action: FleetAction): void {
    switch (action.kind) {
      case 'spawn':
        return this.#spawn(action.index)
      case 'adopt':
        return this.#ports.adopt(action.pid)
      case 'own-unix-sockets':
        return this.#ports.ownUnixSockets(action.pid)
      case 'drain':
        return this.#drain(action)
      case 'kill':
        this.#ports.log.warn({ pid: action.pid, why: action.why }, 'killing worker')
        if (this.#ports.isAlive(action.pid)) this.#ports.signal(action.pid, 'SIGKILL')
        return
      default:
        return assertNever(action)
    }
  }

  #drain({ pid, why, graceMs }: Extract<FleetAction, { kind: 'drain' }>): void {
    const fields = { pid, why, grace_ms: graceMs }
    this.#ports.log.info(fields, 'draining worker')
    this.#ports.journal.emit('worker-leaving', fields)
    const idle = why === 'another-protocol' ? 'cut' : 'keep'
    this.#ports.drain(pid, graceMs, idle, 'this router worker is being replaced')
  }

  #spawn(index: number): void {
    const { log, journal } = this.#ports
    const pid = this.#ports.start(index, (dead, how) => this.#noteExit(dead, how))
    if (pid === null) {
      log.error({ worker: index }, 'could not start a worker')
      return this.apply({ kind: 'spawn-failed', index })
    }
    this.#children.add(pid)
    log.info({ worker: index, pid }, 'worker started')
    journal.emit('worker-started', { worker: index, pid })
    this.apply({ kind: 'spawned', pid, index })
  }

  #noteExit(pid: number, how: string): void {
    const worker = this.#state.workers.get(pid)
    this.#children.delete(pid)
    if (worker === undefined || this.#isReleased) return
    const { log, journal } = this.#ports
    const fields = { worker: worker.index, pid, how }
    if (worker.at.kind === 'leaving') log.info(fields, 'worker left')
    else {
      this.#restarts += 1
      log.warn(fields, 'worker died')
    }
    journal.emit('worker-died', { ...fields, expected: worker.at.kind === 'leaving' })
    this.#ports.forget(pid, worker.index)
    this.apply({ kind: 'exited', pid })
    this.#ports.onGone(pid)
  }

  #planTick(): void {
    this.#cancelTick()
    const waitMs = tickAfterMs(this.#state)
    this.#cancelTick = this.#ports.clock.after(waitMs, () => this.#tick())
  }

  #tick(): void {
    for (const { pid, connected } of this.workers) {
      if (connected || this.#children.has(pid) || this.#ports.isAlive(pid)) continue
      this.#noteExit(pid, 'gone')
    }
    this.apply({ kind: 'tick' })
  }
}
