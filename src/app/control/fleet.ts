/**
 * The control process's end of the conversation with its workers: who is connected, what they were
 * told, what they report. Lifecycle questions go to the supervisor, tables come from the publisher.
 */
import { type FleetTotals, NO_TOTALS, noteGone, noteStats } from '../../core/api/fleet-totals.ts'
import {
  type ClientInfo,
  FLEET_PROTOCOL,
  type FromWorker,
  type ToWorker,
  type WorkerSettings,
  type WorkerStats,
} from '../../core/fleet/messages.ts'
import type { RouteTable, TroubleKind } from '../../core/routing/types.ts'
import type { Clock } from '../../io/clock/clock.ts'
import type { Log } from '../../io/telemetry/log.ts'
import { ClientLists } from './client-lists.ts'
import type { Journal } from './journal.ts'
import { Slots } from './slots.ts'

export type WorkerPeer = {
  send(message: object): boolean
  close(): void
}

export type Connection = {
  readonly pid: number
  readonly index: number
  readonly version: string
  readonly protocol: number
  readonly peer: WorkerPeer
  readonly sinceMs: number
  stats: WorkerStats | null
  /** Null until it said once what it could not bind. */
  faults: readonly { readonly listener: string; readonly what: string }[] | null
}

export type FleetPorts = {
  readonly clock: Clock
  readonly log: Log
  readonly journal: Journal
  onHello(hello: Hello): void
  onHeard(pid: number): void
  onListening(pid: number): void
  onHungUp(pid: number): void
  onSwitched(pid: number, serial: number, cut: number): void
  onTrouble(member: string, what: TroubleKind): void
}

export type Hello = Extract<FromWorker, { kind: 'hello' }>

export class Fleet {
  readonly #ports: FleetPorts
  readonly #connections = new Map<number, Connection>()
  readonly #pids = new Map<WorkerPeer, number>()
  readonly #slots: Slots
  readonly #lists: ClientLists
  #totals: FleetTotals = NO_TOTALS
  #settings: WorkerSettings
  #settingsSerial: number

  constructor(ports: FleetPorts, settings: WorkerSettings) {
    this.#ports = ports
    this.#settings = settings
    this.#settingsSerial = Math.floor(ports.clock.nowMs()) // above that of any earlier process
    this.#slots = new Slots(settings, (pid, message) => void this.send(pid, message))
    this.#lists = new ClientLists(ports.clock)
  }

  get totals(): FleetTotals {
    return this.#totals
  }

  get settings(): WorkerSettings {
    return this.#settings
  }

  connection(pid: number): Connection | undefined {
    return this.#connections.get(pid)
  }

  /** False for one that has dialled in and can't read our tables. */
  mayUnderstand(pid: number): boolean {
    const connection = this.#connections.get(pid)
    return connection === undefined || connection.protocol === FLEET_PROTOCOL
  }

  /** Pids of the workers that understand us. */
  reachable(): number[] {
    return this.#fluent().map((it) => it.pid)
  }

  send(pid: number, message: ToWorker): boolean {
    return this.#connections.get(pid)?.peer.send(message) ?? false
  }

  broadcastTable(table: RouteTable): void {
    for (const { peer } of this.#fluent()) peer.send({ kind: 'table', table } satisfies ToWorker)
  }

  /** What a worker needs to open its listeners. */
  sendSettings(pid: number): void {
    const serial = this.#settingsSerial
    this.send(pid, { kind: 'settings', serial, settings: this.#settings })
  }

  /** Workers that are to leave need it too: they may have to cut. Null: there is none yet. */
  sendTable(pid: number, table: RouteTable | null): void {
    const understands = this.#connections.get(pid)?.protocol === FLEET_PROTOCOL
    if (table !== null && understands) this.send(pid, { kind: 'table', table })
  }

  /** After a reload: every worker that is not leaving gets the new settings. */
  reconfigure(settings: WorkerSettings, pids: readonly number[]): void {
    this.#settings = settings
    this.#settingsSerial += 1
    this.#slots.setLimits(settings)
    for (const pid of pids) this.sendSettings(pid)
  }

  /** The clients of all workers, at most `limit`. */
  clients(limit: number): Promise<ClientInfo[]> {
    return this.#lists.ask(
      this.reachable(),
      (pid, id) => this.send(pid, { kind: 'list-clients', id }),
      limit,
    )
  }

  /** A line from a connection of the control socket. */
  receive(peer: WorkerPeer, raw: object): void {
    const message = raw as FromWorker
    if (message.kind === 'hello') return this.#greet(peer, message)
    const pid = this.#pids.get(peer)
    if (pid === undefined) return peer.close() // speaks before saying who it is
    this.#ports.onHeard(pid)
    this.#take(pid, message)
  }

  closed(peer: WorkerPeer): void {
    const pid = this.#pids.get(peer)
    this.#pids.delete(peer)
    if (pid === undefined || this.#connections.get(pid)?.peer !== peer) return
    this.#connections.delete(pid)
    this.#lists.gone(pid)
    this.#ports.onHungUp(pid)
  }

  /** The process is dead: its slots are free, its counters are history. */
  gone(pid: number): void {
    this.#slots.gone(pid)
    this.#totals = noteGone(this.#totals, pid)
  }

  #greet(peer: WorkerPeer, hello: Hello): void {
    const { pid, index, version, protocol } = hello
    if (!Number.isSafeInteger(pid) || !Number.isSafeInteger(index)) return peer.close()
    const before = this.#connections.get(pid)
    this.#pids.set(peer, pid)
    const stats = before?.stats ?? null
    const fresh = { peer, pid, index, version, protocol, stats, faults: before?.faults ?? null }
    this.#connections.set(pid, { ...fresh, sinceMs: this.#ports.clock.nowMs() })
    if (before !== undefined && before.peer !== peer) before.peer.close()
    if (hello.settingsSerial >= this.#settingsSerial)
      this.#settingsSerial = hello.settingsSerial + 1
    if (protocol === FLEET_PROTOCOL) this.#slots.joined(pid, hello.slots)
    this.#ports.log.info({ worker: index, pid, version }, 'worker dialled in')
    this.#ports.onHello(hello)
  }

  #take(pid: number, message: Exclude<FromWorker, Hello>): void {
    switch (message.kind) {
      case 'listening':
        return this.#noteListening(pid, message.faults)
      case 'switched':
        return this.#ports.onSwitched(pid, message.serial, message.cut)
      case 'want':
        return this.#slots.want(pid, message.slot, message.count)
      case 'return':
        return this.#slots.giveBack(pid, message.slot, message.count)
      case 'trouble':
        return this.#ports.onTrouble(message.member, message.what)
      case 'stats':
        return this.#noteStats(pid, message.stats)
      case 'clients':
        return this.#lists.answer(pid, message.id, message.clients)
      case 'event':
        return this.#ports.journal.emit('worker-event', {
          pid,
          name: message.name,
          ...message.data,
        })
      default:
        this.#ports.log.warn({ pid }, 'a worker said something unknown')
        return message satisfies never
    }
  }

  #noteListening(pid: number, faults: NonNullable<Connection['faults']>): void {
    const connection = this.#connections.get(pid)
    if (connection === undefined) return
    const isNews = JSON.stringify(connection.faults) !== JSON.stringify(faults)
    connection.faults = faults
    this.#ports.onListening(pid)
    if (!isNews) return
    const fields = { worker: connection.index, pid }
    for (const fault of faults) this.#ports.log.error({ ...fields, ...fault }, 'cannot listen')
    if (faults.length === 0) this.#ports.log.info(fields, 'worker listens')
    this.#ports.journal.emit('worker-serving', { ...fields, faults })
  }

  #noteStats(pid: number, stats: WorkerStats): void {
    const connection = this.#connections.get(pid)
    if (connection === undefined) return
    connection.stats = stats
    this.#totals = noteStats(this.#totals, pid, connection.index, stats)
  }

  #fluent(): Connection[] {
    return [...this.#connections.values()].filter((it) => it.protocol === FLEET_PROTOCOL)
  }
}
