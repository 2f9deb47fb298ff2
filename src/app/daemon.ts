/**
 * `pgsteer run`: starts the control process, turns signals into steps, and ends it in reverse order.
 * Everything that can be wrong with the set-up is found before a worker is started.
 */
import { extname } from 'node:path'
import type { Config, Problem } from '../core/config/index.ts'
import { loadConfig } from '../io/files/config-file.ts'
import { keepCompiled } from '../io/processes/compile-cache.ts'
import {
  type ControlSocket,
  isAnswered,
  openControlSocket,
  SOCKET_PATH_BYTES_MAX,
} from '../io/processes/control-socket.ts'
import { makeRunDir } from '../io/processes/run-dir.ts'
import { predecessorPid } from '../io/processes/successor.ts'
import { type OpenLog, openLog } from '../io/telemetry/log.ts'
import { endOnBug } from './bug.ts'
import { ControlProcess } from './control/control-process.ts'
import { reload } from './control/reload.ts'
import { type Files, logFormat, restSettings } from './control/settings.ts'
import { askToTakeOver, Succession } from './control/take-over.ts'
import { packageVersion } from './version.ts'

export type DaemonOptions = {
  /** What to start as a worker; the tests have their own. */
  readonly workerScript?: string
  /** Prints what is wrong with the file, before there is a log. */
  readonly report: (problems: readonly Problem[]) => void
}

type Scene = {
  readonly path: string
  readonly config: Config
  readonly files: Files
  readonly log: OpenLog
  readonly options: DaemonOptions
}

const NO_ROUTER: Problem = {
  severity: 'error',
  path: 'router',
  line: null,
  column: null,
  message: 'there is no `router:` section, and this version runs the router only',
}
/** Flags of worker processes. */
const WORKER_FLAGS: readonly string[] = []
/** A successor asks to take over with a table in hand, or after this long without. */
const FIRST_VIEW_MS = 5000
const LOOK_MS = 10
const REST_PATIENCE_MS = 5000

/** Runs until told to leave; resolves with the exit code. */
export async function runDaemon(path: string, options: DaemonOptions): Promise<number> {
  const predecessor = predecessorPid()
  for (const signal of ['SIGHUP', 'SIGUSR2']) process.on(signal, () => undefined) // not yet deadly
  const { config, problems, files } = loadConfig(path, process.env)
  if (config === null || config.router === null) {
    options.report(config === null ? problems : [NO_ROUTER])
    return 1
  }
  process.title = `pgsteer: ${config.name} control`
  const log = await openLog({
    level: config.log.level,
    format: logFormat(config),
    base: { node: config.name, process: 'control' },
    buffered: false,
  })
  for (const problem of problems) log.warn({ ...problem }, 'configuration warning')
  warnOfAgent(config, log)
  try {
    return await run({ path, config, files, log, options }, predecessor)
  } finally {
    log.flush()
  }
}

async function run(scene: Scene, predecessor: number | null): Promise<number> {
  const { config, log } = scene
  const place = await findPlace(config, predecessor)
  if ('fault' in place) return fail(scene, place.fault)
  const control = build(scene, place)
  endOnBug(log, () => {
    control.loop.close()
    control.supervisor.release()
  })
  try {
    if (predecessor !== null) await takeOver(control, predecessor)
    const patienceMs = predecessor === null ? 0 : REST_PATIENCE_MS
    await control.rest.open(restSettings(config, scene.files), patienceMs)
  } catch (error) {
    await control.close()
    return fail(scene, `the REST address can not be used: ${(error as Error).message}`)
  }
  const leave = Promise.withResolvers<'stop' | 'hand-over'>()
  const succession = new Succession(control, () => leave.resolve('hand-over'))
  const socket = await listen(control, succession)
  control.start()
  log.info({ version: control.options.version, pid: process.pid, run_dir: place.dir }, 'started')
  keepCompiled()
  const signals = onSignals(control, scene.path, succession, () => leave.resolve('stop'))
  const why = await leave.promise
  await (why === 'stop' ? stop(control) : handOver(control))
  await control.close()
  socket.close()
  signals.off()
  return 0
}

function build(scene: Scene, place: { dir: string; socket: string }): ControlProcess {
  const { config, files, log, options } = scene
  return new ControlProcess({
    ...{ config, files, log },
    version: packageVersion(),
    runDir: place.dir,
    socketPath: place.socket,
    workerScript: options.workerScript ?? workerScript(),
    workerFlags: WORKER_FLAGS,
  })
}

async function findPlace(
  config: Config,
  predecessor: number | null,
): Promise<{ dir: string; socket: string } | { fault: string }> {
  try {
    const dir = makeRunDir(config.router?.runDir ?? null, config.scope, config.name)
    const socket = `${dir}/control.sock`
    if (Buffer.byteLength(socket) > SOCKET_PATH_BYTES_MAX) {
      return { fault: `router.run_dir is too long for a unix socket: ${dir}` }
    }
    if (predecessor === null && (await isAnswered(socket))) {
      return { fault: `another pgsteer already runs as ${config.name} (it answers on ${socket})` }
    }
    return { dir, socket }
  } catch (error) {
    return { fault: `no run directory: ${(error as Error).message}` }
  }
}

async function listen(control: ControlProcess, succession: Succession): Promise<ControlSocket> {
  const { fleet, options } = control
  return openControlSocket(options.socketPath, {
    onMessage: (peer, message) => {
      if (!succession.take(message)) fleet.receive(peer, message)
    },
    onClosed: (peer) => fleet.closed(peer),
  })
}

/** We are the successor: get to know the cluster first, so that workers wait for nothing. */
async function takeOver(control: ControlProcess, predecessor: number): Promise<void> {
  const { clock, loop, options } = control
  const untilMs = clock.nowMs() + FIRST_VIEW_MS
  while (loop.view === null && clock.nowMs() < untilMs) {
    await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve))
  }
  const done = await askToTakeOver(options.socketPath, options.version)
  options.log.info({ predecessor, answered: done }, 'taking over')
}

async function stop(control: ControlProcess): Promise<void> {
  const { log } = control.options
  control.isLeaving = true
  log.info({}, 'leaving')
  control.journal.emit('leaving', {})
  const graceMs = control.config.router?.shutdownGraceMs ?? 0
  await control.supervisor.stop(graceMs, 'this router is being shut down')
  log.info({}, 'left')
}

async function handOver(control: ControlProcess): Promise<void> {
  control.options.log.info({}, 'handing over to the successor')
  control.supervisor.release()
}

function onSignals(
  control: ControlProcess,
  path: string,
  succession: Succession,
  leave: () => void,
): { off(): void } {
  const { log } = control.options
  let told = 0
  let reloading: Promise<void> = Promise.resolve()
  const onStop = () => {
    told += 1
    if (told === 1) return leave()
    log.warn({}, 'told again to leave: ending at once')
    control.supervisor.killAll()
  }
  const onReload = () => {
    reloading = reloading
      .then(() => reload(control, path))
      .catch((error) => log.error({ err: error }, 'reload failed'))
  }
  const handlers = { SIGTERM: onStop, SIGINT: onStop, SIGHUP: onReload } as const
  const all = { ...handlers, SIGUSR2: () => succession.start() }
  for (const [signal, handler] of Object.entries(all)) process.on(signal, handler)
  return {
    off() {
      for (const [signal, handler] of Object.entries(all)) process.off(signal, handler)
    },
  }
}

function warnOfAgent(config: Config, log: OpenLog): void {
  if (!config.agent.present) return
  log.warn(
    {},
    'this version runs the router only: the `postgresql:` section is not used, a Patroni must run this node',
  )
}

function fail(scene: Scene, words: string): 1 {
  scene.log.fatal({}, words)
  return 1
}

/** Beside this file: `.ts` in a checkout, `.js` in a package. */
function workerScript(): string {
  return new URL(`proxy-worker${extname(import.meta.url)}`, import.meta.url).pathname
}
