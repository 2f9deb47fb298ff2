/**
 * The parts of the control process put together: what each of them is told by the others. Starting,
 * reloading, handing over and stopping are the steps of `daemon.ts` and `reload.ts`.
 */
import { decideHealth } from '../../core/api/health.ts'
import { buildRouterReport } from '../../core/api/router-report.ts'
import type { RouterPicture } from '../../core/api/types.ts'
import { type Config, listenerPolicies, workerSettings } from '../../core/config/index.ts'
import { mayHoldSessions } from '../../core/fleet/adoption.ts'
import { FLEET_PROTOCOL } from '../../core/fleet/messages.ts'
import type { Note } from '../../core/routing/decide.ts'
import type { RouteTable, TroubleKind } from '../../core/routing/types.ts'
import { systemClock } from '../../io/clock/clock.ts'
import { askMember } from '../../io/http/patroni-client.ts'
import type { RestApi } from '../../io/http/rest-server.ts'
import { openFilesMax } from '../../io/processes/open-files.ts'
import { readWorkerNotes, removeWorkerNote, writeWorkerNote } from '../../io/processes/run-dir.ts'
import { isWorkerAlive, signalProcess, startWorker } from '../../io/processes/worker-process.ts'
import type { Log } from '../../io/telemetry/log.ts'
import { type Metrics, openMetrics } from '../../io/telemetry/metrics.ts'
import { type ProcessStats, watchProcess } from '../../io/telemetry/process-stats.ts'
import { Checks } from '../checks.ts'
import { RouteLoop } from '../route-loop.ts'
import { listClients } from './clients-query.ts'
import { EtcdLink } from './etcd-link.ts'
import { Fleet, type Hello } from './fleet.ts'
import { type EventKind, Journal } from './journal.ts'
import { openFilesWarning } from './open-files.ts'
import { takePicture } from './picture.ts'
import { Publisher, type SwitchReport } from './publisher.ts'
import { RestLink } from './rest-link.ts'
import { etcdSettings, type Files, logFormat, peerTls, workerCount } from './settings.ts'
import { Supervisor } from './supervisor.ts'

export type ControlOptions = {
  readonly config: Config
  readonly files: Files
  readonly log: Log
  readonly version: string
  readonly runDir: string
  readonly socketPath: string
  readonly workerScript: string
  readonly workerFlags: readonly string[]
}

const STATS_EVERY_MS = 1000
const CLOSE_MS = 2000

export class ControlProcess {
  readonly clock = systemClock
  readonly journal = new Journal(this.clock)
  readonly options: ControlOptions
  readonly loop: RouteLoop
  readonly checks: Checks
  readonly publisher: Publisher
  readonly fleet: Fleet
  readonly supervisor: Supervisor
  readonly etcd: EtcdLink
  readonly rest: RestLink
  readonly metrics: Metrics
  /** What is in effect; a reload replaces both. */
  config: Config
  files: Files
  isLeaving = false
  readonly #startedAtMs = this.clock.nowMs()
  readonly #watch = watchProcess()
  readonly #cancelStats: () => void
  #stats: ProcessStats

  constructor(options: ControlOptions) {
    const { config, files, log } = options
    this.options = options
    this.config = config
    this.files = files
    this.#stats = this.#watch.read()
    this.#cancelStats = this.clock.every(STATS_EVERY_MS, () => {
      this.#stats = this.#watch.read()
    })
    this.metrics = openMetrics(() => this.picture())
    this.checks = this.#buildChecks()
    this.loop = this.#buildLoop()
    this.fleet = this.#buildFleet()
    this.publisher = this.#buildPublisher()
    this.supervisor = this.#buildSupervisor()
    this.rest = new RestLink(this.#buildApi(), this.clock)
    this.etcd = new EtcdLink(etcdSettings(config, files), config.prefix, {
      log,
      onSnapshot: (snapshot, receivedAtMs) => this.loop.noteSnapshot(snapshot, receivedAtMs),
      onHealth: (health) => this.loop.noteHealth(health),
    })
  }

  /** The control socket is open: takes over the workers there are, starts the others. */
  start(): void {
    this.warnOfOpenFiles()
    this.supervisor.start()
    this.publisher.begin()
  }

  /** Clients beyond the limit of open files would be accepted by nobody. */
  warnOfOpenFiles(): void {
    const warning = openFilesWarning(this.fleet.settings.limits.maxClients, openFilesMax())
    if (warning !== null) this.options.log.warn({}, warning)
  }

  picture(): RouterPicture {
    const { name, scope } = this.config
    return takePicture({
      nowMs: this.clock.nowMs(),
      startedAtMs: this.#startedAtMs,
      identity: { name, scope, version: this.options.version },
      health: this.etcd.health,
      endpoint: this.etcd.endpoint,
      loop: this.loop,
      fleet: this.fleet,
      supervisor: this.supervisor,
      control: this.#stats,
    })
  }

  /**
   * Ends what only this process has, within `CLOSE_MS`; workers and the control socket are the
   * caller's matter.
   */
  async close(): Promise<void> {
    const ended = this.#close()
    await Promise.race([
      ended,
      new Promise<void>((resolve) => void this.clock.after(CLOSE_MS, resolve)),
    ])
  }

  async #close(): Promise<void> {
    this.#cancelStats()
    this.#watch.stop()
    this.loop.close()
    this.checks.close()
    this.publisher.close()
    await Promise.all([this.rest.close(), this.etcd.close()])
  }

  #buildChecks(): Checks {
    return new Checks({
      clock: this.clock,
      ask: (apiUrl, path, timeoutMs) =>
        askMember(apiUrl, path, timeoutMs, peerTls(this.config, this.files)),
      onSighting: (sighting) => this.loop.noteSighting(sighting),
    })
  }

  #buildLoop(): RouteLoop {
    const ports = {
      clock: this.clock,
      publish: (table: RouteTable, causeAtMs: number) => this.publisher.offer(table, causeAtMs),
      want: (checks: Parameters<Checks['want']>[0]) => this.checks.want(checks),
      tell: (note: Note, table: RouteTable) => this.#tell(note, table),
      onFaults: (faults: readonly object[]) => {
        if (faults.length > 0) this.options.log.warn({ faults }, 'some keys in etcd are unreadable')
      },
    }
    return new RouteLoop(ports, listenerPolicies(this.config))
  }

  #buildFleet(): Fleet {
    const { log } = this.options
    const ports = {
      ...{ clock: this.clock, log, journal: this.journal },
      onHello: (hello: Hello) => {
        this.publisher.noteJoined(hello.pid)
        const { protocol, table } = hello
        if (protocol === FLEET_PROTOCOL && table !== null) this.loop.noteFound(table)
        this.supervisor.apply(hello)
        this.fleet.sendTable(hello.pid, this.publisher.table) // also to one that is to leave
      },
      onHeard: (pid: number) => this.supervisor.apply({ kind: 'heard', pid }),
      onListening: (pid: number) => this.supervisor.apply({ kind: 'listening', pid }),
      onHungUp: (pid: number) => {
        this.publisher.noteGone(pid)
        this.supervisor.noteHungUp(pid)
      },
      onSwitched: (pid: number, serial: number, cut: number) =>
        this.publisher.noteSwitched(pid, serial, cut),
      onTrouble: (member: string, what: TroubleKind) =>
        this.loop.noteTrouble({ member, what, atMs: this.clock.nowMs() }),
    }
    return new Fleet(ports, workerSettings(this.config, this.files))
  }

  #buildPublisher(): Publisher {
    return new Publisher({
      clock: this.clock,
      broadcast: (table) => this.fleet.broadcastTable(table),
      owing: () =>
        this.supervisor.workers
          .filter((it) => mayHoldSessions(it) && this.fleet.mayUnderstand(it.pid))
          .map((it) => it.pid),
      onSwitched: (report) => this.#noteSwitched(report),
    })
  }

  #buildSupervisor(): Supervisor {
    const { runDir, socketPath, version } = this.options
    const ports = {
      ...{ clock: this.clock, log: this.options.log, journal: this.journal },
      start: (index: number, onExit: (pid: number, how: string) => void) =>
        this.#startWorker(index, onExit),
      signal: signalProcess,
      isAlive: (pid: number) => isWorkerAlive(pid, socketPath),
      findWorkers: () => this.#onRunDir(() => readWorkerNotes(runDir)) ?? [],
      forget: (pid: number, index: number) =>
        void this.#onRunDir(() => removeWorkerNote(runDir, index, pid)),
      adopt: (pid: number) => this.#adopt(pid),
      drain: (pid: number, graceMs: number, idle: 'keep' | 'cut', words: string) =>
        void this.fleet.send(pid, { kind: 'drain', graceMs, idle, words }),
      ownUnixSockets: (pid: number) => void this.fleet.send(pid, { kind: 'own-unix-sockets' }),
      onGone: (pid: number) => {
        this.fleet.gone(pid)
        this.publisher.noteGone(pid)
      },
    }
    const graceMs = this.config.router?.shutdownGraceMs ?? 0
    return new Supervisor(ports, { workers: workerCount(this.config), version, graceMs })
  }

  #startWorker(index: number, onExit: (pid: number, how: string) => void): number | null {
    const { socketPath, workerScript, workerFlags } = this.options
    const start = {
      ...{ script: workerScript, nodeFlags: workerFlags, socket: socketPath, index },
      ...{ logLevel: this.config.log.level, logFormat: logFormat(this.config) },
    }
    const pid = startWorker(start, onExit)
    if (pid !== null) this.#noteWorker(index, pid)
    return pid
  }

  #noteWorker(index: number, pid: number): void {
    const { runDir, version } = this.options
    this.#onRunDir(() => writeWorkerNote(runDir, { index, pid, version }))
  }

  /** A full or broken disk costs a note, never the control process. */
  #onRunDir<T>(act: () => T): T | null {
    try {
      return act()
    } catch (error) {
      const { log, runDir } = this.options
      log.error({ why: String(error), run_dir: runDir }, 'the run directory can not be used')
      return null
    }
  }

  #adopt(pid: number): void {
    const index = this.fleet.connection(pid)?.index
    if (index !== undefined) this.#noteWorker(index, pid)
    this.fleet.sendSettings(pid)
  }

  #buildApi(): RestApi {
    return {
      router: () => buildRouterReport(this.picture()),
      health: () =>
        this.isLeaving ? { status: 503, words: 'leaving' } : decideHealth(this.picture()),
      metrics: async () => ({
        contentType: this.metrics.contentType,
        body: await this.metrics.render(),
      }),
      clients: (query) => listClients(this.fleet, query),
      events: this.journal,
    }
  }

  #tell(note: Note, table: RouteTable): void {
    const { log } = this.options
    const fields = { because: note.because, leader: table.leader, table: table.serial }
    log[isBad(note) ? 'warn' : 'info'](fields, note.words)
    this.journal.emit(EVENT_OF[note.because] ?? 'decision', {
      ...{ ...fields, words: note.words, term: table.term, stale: table.stale },
    })
  }

  #noteSwitched({ table, latencyMs, cut, isSwap }: SwitchReport): void {
    const ms = Math.round(latencyMs * 100) / 100
    const fields = { table: table.serial, leader: table.leader, latency_ms: ms, cut }
    if (!isSwap) return this.options.log.debug(fields, 'all workers switched')
    this.metrics.countSwap(latencyMs)
    this.options.log.info(fields, 'all workers switched to the new primary')
    this.journal.emit('swap', { ...fields, term: table.term })
  }
}

const EVENT_OF: Readonly<Partial<Record<Note['because'], EventKind>>> = {
  'write-route-held': 'hold',
  'write-route-open': 'open',
  'etcd-lost': 'etcd-lost',
  'etcd-back': 'etcd-live',
}

function isBad({ because }: Note): boolean {
  return ['write-route-held', 'write-sessions-cut', 'etcd-lost'].includes(because)
}
