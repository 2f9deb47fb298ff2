/**
 * The parts of the comparison. Each takes its turns contender by contender, A B C D, A B C D, so
 * that a slow minute of the machine meets them all.
 */
import { join } from 'node:path'
import type { DemoEtcd } from '../../../src/app/demo/etcd.ts'
import type { Postgres } from '../../rig/postgres.ts'
import type { Rig } from '../../rig/processes.ts'
import { until } from '../../rig/wait.ts'
import { accepts } from './accepts.ts'
import {
  type Backend,
  CONTENDERS,
  type Contender,
  type ContenderName,
  startContenders,
} from './contenders.ts'
import { measureCopyIn, measureCopyOut, prepareCopy, verifyCopy } from './copy.ts'
import type { FigureBook, FigureName, Goal } from './figures.ts'
import { measureIdleDaemon, measureIdleMemory } from './idle.ts'
import { type Load, runLoad } from './load.ts'
import type { Options } from './options.ts'
import { registerLeader } from './server.ts'

export type Scene = {
  readonly rig: Rig
  readonly options: Options
  readonly etcd: DemoEtcd
  readonly postgres: Postgres
  readonly book: FigureBook
  readonly contenders: readonly Contender[]
  readonly say: (line: string) => void
  /** Asks to stop between two measurements. */
  readonly interrupted: AbortSignal
}

const CLIENTS = [1, 8, 64]
const CONNECTING_CLIENTS = 8
const DAEMON_WORKERS = 2
/** Starting thousands of sessions again and again adds little. */
const IDLE_ROUNDS_MAX = 3
const READY_MS = 15_000

/** Compiles what a just-in-time compiler compiles; not counted. */
const WARM_UP: Load = { clients: 8, mode: 'simple', reconnect: false, seconds: 1.5 }

const CPU_GOAL: Goal = { of: 'ratio', is: 'at most', limit: 0.95 }
const NOT_LESS: Goal = { of: 'ratio', is: 'at least', limit: 1 }

export async function runTransactions(scene: Scene): Promise<void> {
  const { options, book, rig } = scene
  await inTurns(scene, 1, 'warming up', async (contender) => {
    await runLoad(rig, contender, WARM_UP)
  })
  for (const mode of ['simple', 'prepared'] as const) {
    for (const clients of CLIENTS) {
      const load: Load = { clients, mode, reconnect: false, seconds: options.seconds }
      const name = (what: string, unit: string, goal: Goal | null = null): FigureName => ({
        key: `tx-${mode}-${clients}-${what.replaceAll(/\W+/g, '-').toLowerCase()}`,
        title: `${mode} c${clients} ${what}`,
        unit,
        goal,
      })
      await inTurns(scene, options.rounds, `${mode}, ${clients} clients`, async (contender) => {
        const result = await runLoad(rig, contender, load)
        const add = (figure: FigureName, value: number | null) =>
          book.add(figure, contender.name, value)
        add(name('CPU/tx', 'µs', CPU_GOAL), result.cpuUsEach)
        add(name('rate', 'tx/s'), result.perSecond)
        add(name('p50', 'µs'), result.p50Us)
        add(name('p99', 'µs'), result.p99Us)
      })
    }
  }
}

/**
 * Twice: to PostgreSQL, whose fork of a process costs more than any proxy, and to a server that
 * costs next to nothing and is asked for nothing but to let the client in.
 */
export async function runConnections(scene: Scene): Promise<void> {
  const { options, rig } = scene
  const { seconds } = options
  const load: Load = { clients: CONNECTING_CLIENTS, mode: 'simple', reconnect: true, seconds }
  await connect(scene, load, '')
  const script = join(rig.dir, 'nothing.sql')
  rig.keeper.writeFile(script, '\\set x 1\n', null)
  const { backend, end } = await startFakeCluster(scene, 'bench-connections')
  const names = scene.contenders.map(({ name }) => name)
  const start = { ...options, label: 'connections' }
  const { contenders } = await startContenders(rig, names, backend, start)
  await connect({ ...scene, contenders }, { ...load, script }, ', server free')
  for (const contender of contenders) await contender.stop()
  await end()
}

async function connect(scene: Scene, load: Load, words: string): Promise<void> {
  const { book, rig, options } = scene
  await inTurns(scene, options.rounds, `connections${words}`, async ({ name, ...contender }) => {
    const { perSecond, cpuUsEach } = await runLoad(rig, { name, ...contender }, load)
    const add = (title: string, unit: string, goal: Goal | null, value: number | null) =>
      book.add(
        {
          key: `${title}${words}`.replaceAll(/\W+/g, '-').toLowerCase(),
          title: `${title}${words}`,
          unit,
          goal,
        },
        name,
        value,
      )
    add('connections', '1/s', words === '' ? NOT_LESS : null, perSecond)
    add('CPU/connection', 'µs', null, cpuUsEach)
  })
}

export async function runCopy(scene: Scene): Promise<void> {
  const { options, book, rig, postgres, contenders } = scene
  const file = await prepareCopy(rig, postgres, options.copyMb)
  for (const contender of contenders) await verifyCopy(rig, postgres, contender)
  const ways = {
    out: (contender: Contender) => measureCopyOut(rig, contender, options.copyMb),
    in: (contender: Contender) => measureCopyIn(rig, contender, options.copyMb, file),
  }
  for (const [way, measure] of Object.entries(ways)) {
    const title = `COPY ${way}`
    await inTurns(scene, options.rounds, title, async (contender) => {
      const { mbPerSecond, cpuUsPerMb } = await measure(contender)
      const rate = { key: `copy-${way}`, title, unit: 'MB/s', goal: NOT_LESS }
      book.add(rate, contender.name, mbPerSecond)
      const cost = { key: `copy-${way}-cpu`, title: `${title} CPU/MB`, unit: 'µs', goal: null }
      book.add(cost, contender.name, cpuUsPerMb)
    })
  }
}

/** Fresh proxies each round: what they freed in the last one would hide what they need. */
export async function runIdleMemory(scene: Scene): Promise<void> {
  const { options, book } = scene
  const { backend, end } = await startFakeCluster(scene, 'bench-idle')
  const goal: Goal = { of: 'value', is: 'at most', limit: 25 }
  const title = `memory/idle client of ${options.idleClients}`
  const figure = { key: 'idle-memory', title, unit: 'kB', goal }
  const names = scene.contenders.map(({ name }) => name).filter((name) => name !== 'direct')
  for (let round = 0; round < Math.min(options.rounds, IDLE_ROUNDS_MAX); round++) {
    for (const name of names) {
      scene.interrupted.throwIfAborted()
      scene.say(`${title}: round ${round + 1}, ${name}`)
      const contender = await startOne(scene, name, backend, `idle-${round}`)
      book.add(figure, name, await measureIdleMemory(contender, options.idleClients))
      await contender.stop()
    }
  }
  await end()
}

async function startFakeCluster({ rig, etcd, options }: Scene, scope: string) {
  const port = rig.takePorts(1)
  const script = new URL('fake-postgres.ts', import.meta.url).pathname
  const child = rig.start(process.execPath, [script, String(port)])
  await until(() => accepts(port), { limitMs: READY_MS, what: 'answer of the fake server' })
  const cluster = await registerLeader(rig, etcd, scope, port)
  const backend: Backend = { port, cluster, sessionsMax: options.idleClients + 1000 }
  return { backend, end: () => child.stop() }
}

export async function runIdleDaemon(scene: Scene): Promise<void> {
  const { options, book, etcd, rig, postgres } = scene
  const cluster = await registerLeader(rig, etcd, 'bench-daemon', postgres.port)
  const backend: Backend = { port: postgres.port, cluster, sessionsMax: 1000 }
  scene.say(`idle daemon: ${options.idleSeconds} s`)
  const limited = { ...options, workers: DAEMON_WORKERS }
  const daemon = await startOne({ ...scene, options: limited }, 'pgsteer', backend, 'daemon')
  const { rssMb, pssMb, cpuPercent, processes } = await measureIdleDaemon(
    daemon,
    options.idleSeconds,
  )
  await daemon.stop()
  const title = `idle daemon (${processes} processes)`
  const add = (key: string, words: string, unit: string, limit: number | null, value: number) => {
    const goal: Goal | null = limit === null ? null : { of: 'value', is: 'at most', limit }
    book.add({ key, title: `${title} ${words}`, unit, goal }, 'pgsteer', value)
  }
  add('daemon-rss', 'resident', 'MB', 250, rssMb)
  add('daemon-pss', 'without what they share', 'MB', null, pssMb)
  add('daemon-cpu', 'CPU', '% of a core', 1, cpuPercent)
}

async function startOne(
  { rig, options }: Scene,
  name: ContenderName,
  backend: Backend,
  label: string,
): Promise<Contender> {
  const { contenders } = await startContenders(rig, [name], backend, { ...options, label })
  const [contender] = contenders
  if (contender === undefined) throw new Error(`${name} could not be started`)
  return contender
}

async function inTurns(
  { contenders, say, interrupted }: Scene,
  rounds: number,
  what: string,
  measure: (contender: Contender) => Promise<void>,
): Promise<void> {
  const inOrder = CONTENDERS.flatMap((name) => contenders.filter((it) => it.name === name))
  for (let round = 0; round < rounds; round++) {
    say(`${what}: round ${round + 1} of ${rounds}`)
    for (const contender of inOrder) {
      interrupted.throwIfAborted()
      await measure(contender)
    }
  }
}
