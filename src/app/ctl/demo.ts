/** `pgsteer demo`: a whole local cluster in the foreground; Ctrl-C removes it. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { type Demo, type DemoOptions, startDemo } from '../demo/demo.ts'
import { readyLine, welcome } from '../demo/demo-text.ts'
import { DemoFault } from '../demo/fault.ts'
import { NODES_MAX } from '../demo/ports.ts'

const BASE_PORT = 15000
const BASE_PORT_MIN = 1024
/** The highest base whose last node still has its ports. */
const BASE_PORT_MAX = 65535 - 10 * (NODES_MAX + 1)
const NODES = 3
/** How people call us: from the root of a checkout, or installed. */
const COMMAND = import.meta.url.endsWith('.ts') ? 'node_modules/.bin/pgsteer' : 'pgsteer'

type Flags = {
  readonly dir?: string
  readonly nodes: number
  readonly basePort: number
  readonly json?: true
}

export function demoCommand(): Command {
  return new Command('demo')
    .description('a whole local cluster: etcd, PostgreSQL nodes and a pgsteer beside each')
    .option(
      '--dir <dir>',
      'an empty or new directory (default: a temporary one); removed at the end',
    )
    .option('--nodes <count>', `how many nodes, 1 to ${NODES_MAX}`, integer(1, NODES_MAX), NODES)
    .option(
      '--base-port <port>',
      `ports from here on: etcd in the first ten, then ten a node (${BASE_PORT_MIN} to ${BASE_PORT_MAX})`,
      integer(BASE_PORT_MIN, BASE_PORT_MAX),
      BASE_PORT,
    )
    .addOption(
      new Option('--agent <agent>', 'what supervises PostgreSQL')
        .choices(['patroni'])
        .default('patroni'),
    )
    .option('--json', 'print one JSON object, on one line, once writes work')
    .action(async (flags: Flags) => {
      process.exitCode = await runDemo(flags)
    })
}

/** Exit code: 0 after a signal, 1 when the demo could not be started. */
async function runDemo(flags: Flags): Promise<0 | 1> {
  const interrupted = catchSignals()
  const say = (line: string) => process.stderr.write(`demo: ${line}\n`)
  const options: DemoOptions = {
    dir: flags.dir ?? null,
    nodes: flags.nodes,
    basePort: flags.basePort,
  }
  try {
    const demo = await startDemo(options, interrupted, say)
    process.stdout.write(flags.json === true ? `${readyLine(demo)}\n` : welcome(demo, COMMAND))
    reportEnds(demo, interrupted, say)
    await aborted(interrupted)
    say('ending')
    await demo.end()
    return 0
  } catch (error) {
    if (interrupted.aborted) process.exit(0) // what was being waited for would keep us alive
    say(error instanceof DemoFault ? error.message : `failed: ${describe(error)}`)
    return 1
  }
}

/** The first signal asks for an orderly end; it takes seconds, so later ones change nothing. */
function catchSignals(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => controller.abort())
  }
  return controller.signal
}

/** Says which process ended while the demo runs; it may well be meant so. */
function reportEnds(demo: Demo, interrupted: AbortSignal, say: (line: string) => void): void {
  const children = [
    { what: 'etcd', child: demo.etcd.child },
    ...demo.cluster.nodes.map((it) => ({ what: `Patroni of ${it.name}`, child: it.patroni() })),
    ...demo.routers.map((it) => ({ what: `pgsteer of ${it.name}`, child: it.daemon() })),
  ]
  for (const { what, child } of children) {
    child.ended.then(({ code, signal }) => {
      if (!interrupted.aborted) say(`${what} ended (${signal ?? `exit code ${code}`})`)
    })
  }
}

/** Resolves when the signal fires; the timer only keeps the process alive until then. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const alive = setInterval(() => undefined, 60_000)
    signal.addEventListener(
      'abort',
      () => {
        clearInterval(alive)
        resolve()
      },
      { once: true },
    )
  })
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(`A whole number from ${min} to ${max} is needed.`)
    }
    return value
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message}: ${describe(error.cause)}`
}
