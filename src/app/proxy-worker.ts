/**
 * Entry point of a router worker: the data plane, in a process of its own so that client bytes never
 * delay the control process. Arguments: `--socket PATH --index N --log-level L --log-format F`.
 */
import { parseArgs } from 'node:util'
import {
  type EndReason,
  FLEET_PROTOCOL,
  type FromWorker,
  type ToWorker,
  type WorkerSettings,
} from '../core/fleet/messages.ts'
import type { RouteTable } from '../core/routing/types.ts'
import { keepCompiled } from '../io/processes/compile-cache.ts'
import { describeSession } from '../io/sockets/board.ts'
import type { Session } from '../io/sockets/session.ts'
import { Switchboard } from '../io/sockets/switchboard.ts'
import { type LogFormat, type LogLevel, type OpenLog, openLog } from '../io/telemetry/log.ts'
import { watchProcess } from '../io/telemetry/process-stats.ts'
import { packageVersion } from './version.ts'
import { ControlLink } from './worker/control-link.ts'
import { Ports } from './worker/ports.ts'

const STATS_MS = 1_000
/** A worker with more unexpected faults than these is replaced by a fresh one. */
const FAULTS_MAX = 100
const CLIENTS_MAX = 10_000
/** A worker that never got settings is of no use to anybody. */
const FIRST_SETTINGS_MS = 30_000

class Worker {
  readonly #index: number
  readonly #log: OpenLog
  readonly #link: ControlLink
  readonly #ports: Ports
  readonly #costs = watchProcess()
  #board: Switchboard | null = null
  #settings: { serial: number; listeners: WorkerSettings['listeners'] } = {
    serial: 0,
    listeners: [],
  }
  #table: RouteTable | null = null
  /** Ports are changed by one message at a time, in order. */
  #turn: Promise<void> = Promise.resolve()
  #draining = false
  readonly #patience: NodeJS.Timeout

  constructor(socket: string, index: number, log: OpenLog) {
    this.#index = index
    this.#log = log
    this.#ports = new Ports((listener, target, wire, peer) =>
      this.#board?.accept(listener, target, wire, peer),
    )
    this.#link = new ControlLink(socket, {
      onOpen: () => this.#hello(),
      onMessage: (message) => this.#onMessage(message),
      onLost: () => this.#onControlLost(),
    })
    setInterval(() => this.#report(), STATS_MS)
    this.#patience = setTimeout(() => this.#leave(1), FIRST_SETTINGS_MS).unref()
  }

  #hello(): FromWorker {
    const purses = this.#board?.purses
    purses?.clients.joined()
    purses?.held.joined()
    return {
      kind: 'hello',
      protocol: FLEET_PROTOCOL,
      version: packageVersion(),
      pid: process.pid,
      index: this.#index,
      slots: { clients: purses?.clients.held ?? 0, held: purses?.held.held ?? 0 },
      settingsSerial: this.#settings.serial,
      ownsUnixSockets: this.#ports.ownsUnixSockets,
      table: this.#table,
    }
  }

  #onControlLost(): void {
    this.#log.warn({}, 'the control process is gone: going on by the last route table')
    this.#board?.purses.clients.left()
    this.#board?.purses.held.left()
  }

  #onMessage(message: ToWorker): void {
    switch (message.kind) {
      case 'settings':
        return this.#onSettings(message.serial, message.settings)
      case 'table':
        return this.#onTable(message.table)
      case 'grant':
        return this.#board?.purses[message.slot].granted(message.count)
      case 'reclaim':
        if (this.#board !== null) return this.#board.purses[message.slot].reclaim()
        return this.#link.send({ kind: 'return', slot: message.slot, count: 0 })
      case 'own-unix-sockets':
        this.#ports.ownsUnixSockets = true
        return this.#openPorts()
      case 'list-clients': {
        const clients = this.#board?.clients(CLIENTS_MAX) ?? []
        return this.#link.send({ kind: 'clients', id: message.id, clients })
      }
      case 'drain':
        return this.#onDrain(message.graceMs, message.idle === 'cut', message.words)
    }
  }

  #onSettings(serial: number, settings: WorkerSettings): void {
    clearTimeout(this.#patience)
    try {
      if (this.#board === null) this.#start(settings)
      else this.#board.apply(settings)
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error)
      this.#log.error({ serial, what }, 'the settings can not be used')
      return this.#link.send({
        kind: 'listening',
        settingsSerial: serial,
        faults: [{ listener: '*', what }],
      })
    }
    this.#settings = { serial, listeners: settings.listeners }
    this.#openPorts()
  }

  #start(settings: WorkerSettings): void {
    const board = new Switchboard(settings, `${process.pid}-`, {
      want: (slot, count) => this.#link.send({ kind: 'want', slot, count }),
      giveBack: (slot, count) => this.#link.send({ kind: 'return', slot, count }),
      trouble: (member, what, words) => {
        this.#log.debug({ member, what, words }, 'trouble with a backend')
        this.#link.send({ kind: 'trouble', member, what })
      },
      ended: (session, reason, words) => this.#logEnd(session, reason, words),
      drained: () => this.#leave(0),
    })
    this.#board = board
    board.purses.clients.joined()
    board.purses.held.joined()
    if (this.#table !== null) board.follow(this.#table)
  }

  #openPorts(): void {
    const { serial, listeners } = this.#settings
    this.#turn = this.#turn.then(async () => {
      if (this.#draining || this.#board === null) return
      const faults = await this.#ports.follow(listeners)
      for (const fault of faults) this.#log.error(fault, 'a listener can not be opened')
      this.#link.send({ kind: 'listening', settingsSerial: serial, faults })
      keepCompiled()
    })
  }

  #onTable(table: RouteTable): void {
    this.#table = table
    const cut = this.#board?.follow(table) ?? 0
    this.#link.send({ kind: 'switched', serial: table.serial, cut })
  }

  #onDrain(graceMs: number, cutIdle: boolean, words: string): void {
    this.#log.info({ graceMs, words }, 'draining')
    this.#draining = true
    this.#turn = this.#turn.then(async () => {
      await this.#ports.close()
      if (this.#board === null) this.#leave(0)
      else this.#board.drain(graceMs, cutIdle)
    })
  }

  #report(): void {
    // Also without a board: a worker whose settings failed waits for better ones and is not silent.
    const counted = this.#board?.stats() ?? { listeners: {}, backends: {} }
    const stats = { ...counted, ...this.#costs.read() }
    this.#link.send({ kind: 'stats', stats })
  }

  #logEnd(session: Session, reason: EndReason, words: string | null): void {
    const { id, listener, client, user, database, application, target, tls, bytesIn, bytesOut } =
      describeSession(session)
    const fields = {
      ...{ id, client, user, database, application, listener, target, tls },
      backend: session.backend?.member ?? null,
      waitMs: round(session.heldMs),
      connectMs: round(session.connectMs),
      totalMs: round(performance.now() - session.acceptedAtMs),
      ...{ bytesIn, bytesOut, reason },
      ...(words === null ? {} : { words }),
    }
    this.#log.info(fields, 'connection ended')
  }

  #leave(code: number): void {
    this.#report()
    this.#link.close()
    setImmediate(() => process.exit(code))
  }
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100
}

async function serve(socket: string, index: number, level: LogLevel, format: LogFormat) {
  process.title = `pgsteer: worker ${index}`
  const base = { process: `worker ${index}`, pid: process.pid }
  const log = await openLog({ level, format, base, buffered: true })
  // What nobody caught is one connection's trouble; all others would pay for ending the worker.
  let faults = 0
  process.on('uncaughtException', (error) => {
    log.fatal({ stack: error.stack ?? String(error) }, 'a fault of the router: please report it')
    if (++faults > FAULTS_MAX) process.exit(1)
  })
  // Both belong to the control process, which drains its workers in its own order.
  process.on('SIGINT', () => undefined)
  process.on('SIGHUP', () => undefined)
  process.on('SIGTERM', () => process.exit(0)) // writes the log lines that are held back
  new Worker(socket, index, log)
}

const { values } = parseArgs({
  strict: false,
  options: {
    socket: { type: 'string' },
    index: { type: 'string' },
    'log-level': { type: 'string', default: 'info' },
    'log-format': { type: 'string', default: 'json' },
  },
})
// Without a socket it was only loaded, to be compiled.
if (typeof values.socket === 'string') {
  const { socket, index } = values
  await serve(
    socket,
    Number(index),
    values['log-level'] as LogLevel,
    values['log-format'] as LogFormat,
  )
}
