/** One stock Patroni with its PostgreSQL, as processes that can be started, asked and hurt. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Child, Keeper } from './keeper.ts'
import type { Account } from './machine.ts'
import { type PatroniNodePlan, patroniConfig } from './patroni-config.ts'
import { yamlText } from './yaml-text.ts'

const REST_LIMIT_MS = 2000

export type PatroniNode = {
  readonly name: string
  /** Path of its YAML file. */
  readonly config: string
  readonly rest: string
  readonly postgres: { readonly host: string; readonly port: number; readonly dataDir: string }
  /** The Patroni process started last. */
  patroni(): Child
  /** Starts Patroni (again); PostgreSQL is Patroni's to start. */
  start(): void
  /** What `GET /patroni` answers, or null when it does not. */
  status(): Promise<Readonly<Record<string, unknown>> | null>
  /** pid from `postmaster.pid`, whether alive or not; null without the file. */
  postmasterPid(): number | null
  /**
   * SIGKILL to the postmaster alone: Patroni finds it crashed. Answers every pid that ends of it:
   * backends outlive their postmaster by a moment, and still answer.
   */
  killPostmaster(): readonly number[]
  /** What a power cut does: SIGKILL to Patroni and to every process of PostgreSQL; their pids. */
  killAll(): readonly number[]
}

export function preparePatroniNode(
  keeper: Keeper,
  program: string,
  plan: PatroniNodePlan,
  account: Account | null,
): PatroniNode {
  keeper.makeDir(plan.dir, account)
  keeper.makeDir(join(plan.dir, 'log'), account)
  const config = join(plan.dir, 'patroni.yml')
  keeper.writeFile(config, yamlText(patroniConfig(plan)), account)
  const dataDir = join(plan.dir, 'data')
  const rest = `http://127.0.0.1:${plan.restPort}`
  let child: Child | null = null
  const patroni = (): Child => {
    if (child === null) throw new Error(`${plan.name} was not started`)
    return child
  }
  return {
    name: plan.name,
    config,
    rest,
    postgres: { host: '127.0.0.1', port: plan.postgresPort, dataDir },
    patroni,
    start() {
      const log = join(plan.dir, 'patroni.log')
      child = keeper.start(program, [config], { log, account, env: patroniEnv(plan) })
    },
    status: () => askStatus(rest),
    postmasterPid: () => readPostmasterPid(dataDir),
    killPostmaster: () => killPostmaster(dataDir),
    killAll() {
      patroni().signal('SIGKILL')
      const postmaster = readPostmasterPid(dataDir)
      const isUp = postmaster !== null && isPostmasterOf(postmaster, dataDir)
      const pids = isUp ? [postmaster, ...childrenOf(postmaster)] : []
      for (const pid of pids) kill(pid)
      return [patroni().pid, ...pids]
    },
  }
}

/** `PATRONI_*` of the caller's environment would override the file. */
function patroniEnv({ dir }: PatroniNodePlan): Record<string, string> {
  const foreign = Object.keys(process.env).filter((name) => /^(PATRONI_|PG)/.test(name))
  return { ...Object.fromEntries(foreign.map((name) => [name, ''])), HOME: dir, LC_ALL: 'C.UTF-8' }
}

async function askStatus(rest: string): Promise<Readonly<Record<string, unknown>> | null> {
  try {
    const reply = await fetch(`${rest}/patroni`, { signal: AbortSignal.timeout(REST_LIMIT_MS) })
    return (await reply.json()) as Record<string, unknown>
  } catch {
    return null
  }
}

function readPostmasterPid(dataDir: string): number | null {
  try {
    return Number(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0])
  } catch {
    return null
  }
}

function killPostmaster(dataDir: string): readonly number[] {
  const pid = readPostmasterPid(dataDir)
  if (pid === null || !isPostmasterOf(pid, dataDir)) {
    throw new Error(`no postmaster runs on ${dataDir}`)
  }
  const children = childrenOf(pid)
  kill(pid)
  return [pid, ...children]
}

/** The pid in the file may have been given to another process since. */
function isPostmasterOf(pid: number, dataDir: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(dataDir)
  } catch {
    return false
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && parentOf(pid) === parent)
}

function parentOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return null
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended in the meantime.
  }
}
