/**
 * Keeps account of every process of a local cluster, also of those that detach (PostgreSQL, router
 * workers): all inherit a mark in their environment and are found by it. A small watcher outlives
 * us, so that nothing stays behind even when we are killed with -9.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Account } from './machine.ts'
import { until } from './until.ts'

/** How long PostgreSQL gets for an immediate shutdown, which gives its shared memory back. */
const QUIT_LIMIT_MS = 3000
const KILL_LIMIT_MS = 5000

export type Ended = { readonly code: number | null; readonly signal: NodeJS.Signals | null }

export type StartOptions = {
  /** File that standard output and error are appended to. */
  readonly log: string
  readonly account?: Account | null
  readonly env?: Readonly<Record<string, string>>
}

/** A process that was started here. */
export type Child = {
  readonly pid: number
  readonly ended: Promise<Ended>
  isAlive(): boolean
  /** Sends a signal, unless the process ended. */
  signal(signal: NodeJS.Signals): void
  /** Sends a signal and waits for the end; past the limit comes SIGKILL. */
  stop(signal?: NodeJS.Signals, limitMs?: number): Promise<Ended>
}

export type Keeper = {
  readonly dir: string
  /** Environment that marks whatever is started with it. */
  readonly env: Readonly<Record<string, string>>
  start(program: string, args: readonly string[], options: StartOptions): Child
  makeDir(path: string, account: Account | null): void
  writeFile(path: string, text: string, account: Account | null): void
  /** Marked processes that run now. */
  running(): number[]
  /** Ends every marked process, then removes `dir` unless it is to be kept. */
  end(options: { readonly keepDir: boolean }): Promise<void>
}

/** `dir` must exist; with `keepDir` the watcher leaves it too. */
export function openKeeper(dir: string, { keepDir }: { readonly keepDir: boolean }): Keeper {
  const mark = `PGSTEER_KEEPER_${randomBytes(8).toString('hex')}`
  const env = { [mark]: '1' }
  const watcher = startWatcher(mark, dir, keepDir)
  let closed = false
  // A start-up that was interrupted may still be on its way: it must not begin anything new.
  const assertOpen = () => {
    if (closed) throw new Error(`${dir} was given up`)
  }
  return {
    dir,
    env,
    start(program, args, options) {
      assertOpen()
      return startChild(program, args, env, options)
    },
    makeDir(path, account) {
      assertOpen()
      mkdirSync(path, { recursive: true, mode: 0o700 })
      if (account !== null) chownSync(path, account.uid, account.gid)
    },
    writeFile(path, text, account) {
      assertOpen()
      writeFileSync(path, text, { mode: 0o600 })
      if (account !== null) chownSync(path, account.uid, account.gid)
    },
    running: () => findMarked(mark),
    async end(options) {
      closed = true
      await endMarked(mark, dir)
      if (!options.keepDir) removeTree(dir)
      watcher.stdin?.end('done\n')
    },
  }
}

function startChild(
  program: string,
  args: readonly string[],
  mark: Readonly<Record<string, string>>,
  { log, account = null, env = {} }: StartOptions,
): Child {
  const output = openSync(log, 'a')
  const child = spawn(program, args, {
    cwd: '/',
    detached: true, // its own session: a Ctrl-C on our terminal is ours to handle
    stdio: ['ignore', output, output],
    env: { ...process.env, ...mark, ...env },
    ...(account ?? {}),
  })
  closeSync(output)
  return watchChild(child, program)
}

function watchChild(child: ChildProcess, program: string): Child {
  const { pid } = child
  const ended = new Promise<Ended>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.once('error', () => resolve({ code: 127, signal: null }))
  })
  if (pid === undefined) throw new Error(`cannot start ${program}`)
  const isAlive = () => child.exitCode === null && child.signalCode === null
  const signal = (name: NodeJS.Signals) => {
    if (isAlive()) child.kill(name)
  }
  return {
    pid,
    ended,
    isAlive,
    signal,
    async stop(name = 'SIGTERM', limitMs = KILL_LIMIT_MS) {
      signal(name)
      const late = setTimeout(() => signal('SIGKILL'), limitMs)
      const end = await ended
      clearTimeout(late)
      return end
    },
  }
}

/** PostgreSQL last and gently: what restarts it must be gone, and SIGQUIT frees shared memory. */
async function endMarked(mark: string, dir: string): Promise<void> {
  const pids = findMarked(mark)
  const postgres = pids.filter((pid) => commandName(pid) === 'postgres')
  sendAll(
    pids.filter((pid) => !postgres.includes(pid)),
    'SIGKILL',
  )
  sendAll(postgres, 'SIGQUIT')
  const allGone = () => findMarked(mark).length === 0
  const what = `end of the processes of ${dir}`
  await until(allGone, { limitMs: QUIT_LIMIT_MS, what, everyMs: 20 }).catch(() =>
    until(
      () => {
        sendAll(findMarked(mark), 'SIGKILL')
        return allGone()
      },
      { limitMs: KILL_LIMIT_MS, what },
    ),
  )
  freeSharedMemory(dir)
}

/** A server killed with -9 leaves its System V segment; `postmaster.pid` says which. */
function freeSharedMemory(dir: string): void {
  for (const name of readdirSync(dir)) {
    const lines = readLines(join(dir, name, 'data', 'postmaster.pid'))
    const id = lines[6]?.trim().split(/\s+/)[1]
    if (id !== undefined) spawnSync('ipcrm', ['-m', id], { stdio: 'ignore' })
  }
}

function removeTree(dir: string): void {
  rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
}

function findMarked(mark: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid && isMarked(pid, mark))
}

/** The environment of a process that ended, zombie or gone, reads as empty or not at all. */
function isMarked(pid: number, mark: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${mark}=1`)
  } catch {
    return false
  }
}

function commandName(pid: number): string | undefined {
  return readLines(`/proc/${pid}/comm`)[0]
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n')
  } catch {
    return []
  }
}

function sendAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // It ended in the meantime.
    }
  }
}

/** Waits for our end on a pipe: a line means all is done, end of file that we died. */
const WATCHER = `
read -r _ && exit 0
marked() { grep -lzFx "$1=1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }
mark=$1 dir=$2 keep=$3
for pid in $(marked "$mark"); do
  if [ "$(cat /proc/$pid/comm 2>/dev/null)" = postgres ]; then kill -QUIT "$pid"; else kill -KILL "$pid"; fi
done
turns=0
while [ -n "$(marked "$mark")" ] && [ $turns -lt 100 ]; do
  [ $turns -lt 30 ] || kill -KILL $(marked "$mark")
  turns=$((turns + 1)); sleep 0.1
done
for file in "$dir"/*/data/postmaster.pid; do
  [ -e "$file" ] && ipcrm -m "$(sed -n 7p "$file" | awk '{print $2}')"
done
[ "$keep" = keep ] || rm -rf -- "$dir"
`

function startWatcher(mark: string, dir: string, keepDir: boolean): ChildProcess {
  const watcher = spawn('/bin/sh', ['-c', WATCHER, 'sh', mark, dir, keepDir ? 'keep' : 'remove'], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  })
  watcher.unref()
  if (watcher.stdin !== null && 'unref' in watcher.stdin)
    (watcher.stdin as { unref(): void }).unref()
  return watcher
}
