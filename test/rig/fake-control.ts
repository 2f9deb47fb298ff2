/**
 * A control process played by a test: starts real router workers, tells them settings and tables,
 * answers their wishes for slots as the real one does, and keeps what they say.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Child } from '../../src/app/demo/keeper.ts'
import type {
  ClientInfo,
  FromWorker,
  SlotKind,
  ToWorker,
  WorkerListener,
  WorkerSettings,
} from '../../src/core/fleet/messages.ts'
import * as quota from '../../src/core/fleet/quota.ts'
import type {
  Backend,
  Keeper,
  ListenerRoutes,
  Route,
  RouteTable,
} from '../../src/core/routing/types.ts'
import { TARGETS } from '../../src/core/routing/types.ts'
import {
  type ControlSocket,
  openControlSocket,
  type Peer,
} from '../../src/io/processes/control-socket.ts'
import type { Rig } from './processes.ts'
import { until } from './wait.ts'

const WORKER = fileURLToPath(new URL('../../src/app/proxy-worker.ts', import.meta.url))
const ANSWER_MS = 10_000

/** What a worker logs at the end of each connection. */
export type EndLine = {
  readonly client: string
  readonly user: string | null
  readonly database: string | null
  readonly listener: string
  readonly backend: string | null
  readonly tls: string
  readonly waitMs: number
  readonly connectMs: number
  readonly totalMs: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly reason: string
  readonly words?: string
}

export type WorkerHandle = {
  readonly index: number
  readonly child: Child
  readonly pid: number
  /** All `connection ended` lines so far. */
  ends(): EndLine[]
  /** Waits for the next end after the first `skip`. */
  nextEnd(skip: number): Promise<EndLine>
  log(): string
}

type Joined = { peer: Peer; hello: FromWorker & { kind: 'hello' } }

export type TablePatch = {
  readonly routes?: Readonly<Record<string, Route | ListenerRoutes>>
  readonly keep?: RouteTable['keep']
  readonly members?: readonly Backend[]
}

export class FakeControl {
  readonly path: string
  settings: WorkerSettings
  table: RouteTable
  readonly messages: FromWorker[] = []
  readonly workers: WorkerHandle[] = []
  /** Deny all slots, or answer as the real control process. */
  slots: 'share' | 'silent' = 'share'
  #settingsSerial = 1
  #socket: ControlSocket | null = null
  readonly #joined = new Map<Peer, Joined>()
  #quotas: Record<SlotKind, quota.Quota>
  readonly #rig: Rig

  constructor(rig: Rig, settings: WorkerSettings) {
    this.#rig = rig
    this.path = join(rig.dir, `control-${process.pid}-${++controls}.sock`)
    this.settings = settings
    this.table = { ...EMPTY_TABLE, listeners: {} }
    this.#quotas = this.#newQuotas()
  }

  /** Also waits for workers that were there before to dial in again. */
  async listen(): Promise<void> {
    this.#quotas = this.#newQuotas()
    this.#socket = await openControlSocket(this.path, {
      onMessage: (peer, message) => this.#onMessage(peer, message as FromWorker),
      onClosed: (peer) => this.#onClosed(peer),
    })
    const alive = this.workers.filter(({ child }) => child.isAlive()).length
    const what = 'workers that dial in'
    await until(() => this.joined >= alive, { limitMs: ANSWER_MS, what, everyMs: 5 })
  }

  /** As if killed: workers lose it without a word. */
  die(): void {
    this.#socket?.close()
    this.#socket = null
  }

  /** Starts a worker and waits until its listeners are open. */
  async start(index = this.workers.length): Promise<WorkerHandle> {
    const log = join(this.#rig.dir, `worker-${process.pid}-${controls}-${this.workers.length}.log`)
    const args = [WORKER, '--socket', this.path, '--index', String(index)]
    const child = this.#rig.start(process.execPath, args, { log })
    const worker = describeWorker(index, child, log)
    this.workers.push(worker)
    const before = this.heard('listening').length
    await until(() => this.heard('listening').length > before, {
      limitMs: ANSWER_MS,
      what: `listening worker (see ${log})`,
      everyMs: 10,
    })
    return worker
  }

  heard<K extends FromWorker['kind']>(kind: K): (FromWorker & { kind: K })[] {
    return this.messages.filter((m): m is FromWorker & { kind: K } => m.kind === kind)
  }

  trouble(): string[] {
    return this.heard('trouble').map(({ member, what }) => `${member} ${what}`)
  }

  send(message: ToWorker, to: readonly Peer[] = [...this.#joined.keys()]): void {
    for (const peer of to) peer.send(message)
  }

  /** To one worker only. */
  tell(worker: WorkerHandle, message: ToWorker): void {
    for (const [peer, { hello }] of this.#joined) if (hello.pid === worker.pid) peer.send(message)
  }

  /** Sends new settings and waits until all workers have taken them. */
  async configure(patch: Partial<WorkerSettings>): Promise<void> {
    this.settings = { ...this.settings, ...patch }
    this.#step('clients', (q) => quota.setLimit(q, this.settings.limits.maxClients))
    this.#step('held', (q) => quota.setLimit(q, this.settings.hold.maxClients))
    const serial = ++this.#settingsSerial
    this.send({ kind: 'settings', serial, settings: this.settings })
    await until(
      () =>
        this.heard('listening').filter((m) => m.settingsSerial === serial).length >=
        this.#joined.size,
      { limitMs: ANSWER_MS, what: 'listening', everyMs: 5 },
    )
  }

  /** Sends a new table and waits until all workers have switched. Answers how many sessions were cut. */
  async route(patch: TablePatch): Promise<number> {
    const serial = this.table.serial + 1
    const routes = Object.entries(patch.routes ?? {}).map(
      ([name, route]) => [name, 'kind' in route ? sameForAll(route) : route] as const,
    )
    this.table = {
      ...this.table,
      serial,
      keep: patch.keep ?? this.table.keep,
      members: patch.members ?? this.table.members,
      listeners: { ...this.table.listeners, ...Object.fromEntries(routes) },
    }
    this.send({ kind: 'table', table: this.table })
    const switched = () => this.heard('switched').filter((m) => m.serial === serial)
    await until(() => switched().length >= this.#joined.size, {
      limitMs: ANSWER_MS,
      what: 'switched',
      everyMs: 2,
    })
    return switched().reduce((sum, { cut }) => sum + cut, 0)
  }

  /** Opens all listeners to these; sessions on primaries stay only where these are. */
  open(...backends: [Backend, ...Backend[]]): Promise<number> {
    const primaries = backends.filter((b) => b.role === 'primary').map((b) => b.member)
    return this.route({
      routes: this.#everywhere(openRoute(...backends)),
      keep: { primary: primaries.map(anywhere), replicaNot: primaries },
      members: backends,
    })
  }

  hold(words = 'nobody leads'): Promise<number> {
    return this.route({ routes: this.#everywhere({ kind: 'held', cause: 'no-leader', words }) })
  }

  async clients(): Promise<readonly ClientInfo[]> {
    const id = ++lists
    this.send({ kind: 'list-clients', id })
    const answers = () => this.heard('clients').filter((m) => m.id === id)
    await until(() => answers().length >= this.#joined.size, {
      limitMs: ANSWER_MS,
      what: 'clients',
      everyMs: 2,
    })
    return answers().flatMap((m) => m.clients)
  }

  /** Waits until so many clients are in this state. */
  async awaitClients(count: number, state?: ClientInfo['state']): Promise<void> {
    await until(
      async () => {
        const clients = await this.clients()
        return clients.filter((c) => state === undefined || c.state === state).length === count
      },
      { limitMs: ANSWER_MS, what: `${count} clients ${state ?? ''}`, everyMs: 10 },
    )
  }

  get joined(): number {
    return this.#joined.size
  }

  #everywhere(route: Route): Record<string, Route> {
    return Object.fromEntries(this.settings.listeners.map(({ name }) => [name, route]))
  }

  #newQuotas(): Record<SlotKind, quota.Quota> {
    return {
      clients: quota.newQuota(this.settings.limits.maxClients),
      held: quota.newQuota(this.settings.hold.maxClients),
    }
  }

  #onMessage(peer: Peer, message: FromWorker): void {
    this.messages.push(message)
    if (message.kind === 'hello') return this.#onHello(peer, message)
    const key = this.#keyOf(peer)
    if (message.kind === 'want') this.#step(message.slot, (q) => quota.want(q, key, message.count))
    if (message.kind === 'return') {
      this.#step(message.slot, (q) => quota.giveBack(q, key, message.count))
    }
  }

  #onHello(peer: Peer, hello: FromWorker & { kind: 'hello' }): void {
    this.#joined.set(peer, { peer, hello })
    for (const slot of ['clients', 'held'] as const) {
      this.#step(slot, (q) => quota.joined(q, String(hello.pid), hello.slots[slot]))
    }
    if (hello.settingsSerial !== this.#settingsSerial) {
      peer.send({ kind: 'settings', serial: this.#settingsSerial, settings: this.settings })
    }
    if (this.table.serial > 0) peer.send({ kind: 'table', table: this.table })
  }

  #onClosed(peer: Peer): void {
    const key = this.#keyOf(peer)
    this.#joined.delete(peer)
    for (const slot of ['clients', 'held'] as const) this.#step(slot, (q) => quota.left(q, key))
  }

  #keyOf(peer: Peer): string {
    return String(this.#joined.get(peer)?.hello.pid ?? 0)
  }

  #step(slot: SlotKind, change: (q: quota.Quota) => quota.QuotaStep): void {
    if (this.slots === 'silent') return
    const { quota: next, send } = change(this.#quotas[slot])
    this.#quotas[slot] = next
    for (const message of send) {
      for (const [peer, { hello }] of this.#joined) {
        if (String(hello.pid) !== message.worker) continue
        if (message.kind === 'grant') peer.send({ kind: 'grant', slot, count: message.count })
        else peer.send({ kind: 'reclaim', slot })
      }
    }
  }
}

let controls = 0
let lists = 0

const EMPTY_TABLE: RouteTable = {
  serial: 0,
  term: null,
  leader: null,
  stale: false,
  keep: { primary: null, replicaNot: [] },
  witness: null,
  members: [],
  listeners: {},
}

export async function startFakeControl(rig: Rig, settings: WorkerSettings): Promise<FakeControl> {
  const control = new FakeControl(rig, settings)
  await control.listen()
  rig.defer(() => control.die())
  return control
}

export function workerSettings(patch: Partial<WorkerSettings> = {}): WorkerSettings {
  return {
    listeners: [],
    hold: { timeoutMs: 30_000, maxClients: 10_000 },
    limits: {
      maxClients: 10_000,
      loginTimeoutMs: 15_000,
      connectTimeoutMs: 2_000,
      connectWindow: 32,
    },
    keepalive: { idleMs: 30_000 },
    clientTls: null,
    serverTls: { mode: 'prefer', ca: null, cert: null, key: null },
    shutdownGraceMs: 5_000,
    ...patch,
  }
}

export function tcpListener(port: number, patch: Partial<WorkerListener> = {}): WorkerListener {
  return {
    name: 'write',
    addresses: [{ kind: 'tcp', host: '127.0.0.1', port, ipv6Only: false }],
    target: 'primary',
    mode: 'tunnel',
    proxyProtocolFrom: [],
    ...patch,
  }
}

export function primaryAt(port: number, member = 'n1', host = '127.0.0.1'): Backend {
  return { member, host, port, role: 'primary' }
}

/** Sessions with this primary may stay, wherever it is. */
export function anywhere(member: string): Keeper {
  return { member, addresses: null }
}

export function openRoute(...backends: [Backend, ...Backend[]]): Route {
  return { kind: 'open', backends, balance: 'leastconn' }
}

function sameForAll(route: Route): ListenerRoutes {
  return Object.fromEntries(TARGETS.map((target) => [target, route])) as ListenerRoutes
}

function describeWorker(index: number, child: Child, path: string): WorkerHandle {
  const log = () => readFileSync(path, 'utf8')
  const ends = () =>
    log()
      .split('\n')
      .filter((line) => line.includes('"connection ended"'))
      .map((line) => JSON.parse(line) as EndLine)
  return {
    index,
    child,
    pid: child.pid,
    ends,
    nextEnd: (skip) =>
      until(() => ends()[skip], { limitMs: ANSWER_MS, what: 'connection ended', everyMs: 10 }),
    log,
  }
}
