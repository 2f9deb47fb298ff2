/**
 * Processes of a demo that the demo did not start: people stop a daemon and start it again from
 * another terminal. They are known by the demo's files on their command line or by its ports.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { until } from './until.ts'

const LEAVE_MS = 3000

export type DemoTraces = {
  readonly nodeDirs: readonly string[]
  readonly ports: readonly number[]
  /** Processes that are taken care of elsewhere. */
  readonly known: readonly number[]
}

/** Ends pgsteer, Patroni and PostgreSQL processes that work for this demo and are not known. */
export async function endStrangers(traces: DemoTraces): Promise<void> {
  const find = () => findStrangers(traces)
  const found = find()
  if (found.length === 0) return
  signalAll(found, 'SIGTERM')
  const gone = { limitMs: LEAVE_MS, what: 'end of processes started by hand' }
  await until(() => find().length === 0, gone).catch(() => signalAll(find(), 'SIGQUIT'))
  await until(() => find().length === 0, gone).catch(() => signalAll(find(), 'SIGKILL'))
}

function findStrangers({ nodeDirs, ports, known }: DemoTraces): number[] {
  const listening = listeners(ports)
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid && !known.includes(pid))
    .filter((pid) => {
      const words = readWords(pid)
      return nodeDirs.some((dir) => worksIn(dir, words)) || (listening.has(pid) && isPgsteer(words))
    })
}

/** An editor or a pager with the same file open is none of ours. */
export function worksIn(nodeDir: string, words: readonly string[]): boolean {
  const programs = words.slice(0, 2).map((word) => basename(word))
  const socket = words[words.indexOf('--socket') + 1] ?? ''
  return (
    (words.includes('run') && words.includes(join(nodeDir, 'pgsteer.yml'))) ||
    (programs.includes('patroni') && words.includes(join(nodeDir, 'patroni.yml'))) ||
    (programs[0] === 'postgres' && words.includes(join(nodeDir, 'data'))) ||
    socket.startsWith(join(nodeDir, 'run/'))
  )
}

/** The daemon and its workers put a title in place of their command line. */
function isPgsteer(words: readonly string[]): boolean {
  return words[0]?.startsWith('pgsteer: ') === true
}

/** Who listens on these ports; nobody, where `ss` is not installed. */
function listeners(ports: readonly number[]): ReadonlySet<number> {
  const { stdout } = spawnSync('ss', ['-Hltnp'], { encoding: 'utf8' })
  const ours = (stdout ?? '').split('\n').filter((line) => {
    const port = /:(\d+)\s/.exec(line)?.[1]
    return port !== undefined && ports.includes(Number(port))
  })
  const pids = ours.flatMap((line) => [...line.matchAll(/pid=(\d+)/g)].map((match) => match[1]))
  return new Set(pids.map(Number))
}

function readWords(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // It ended in the meantime.
    }
  }
}
