/**
 * Starts and ends worker processes. A worker is detached (a process group of its own, so Ctrl-C at
 * a terminal reaches the control process alone) and shares only stdout and stderr with us.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { compileCacheIn } from './compile-cache.ts'

export type WorkerStart = {
  /** The file to run; `.ts` in a checkout, `.js` in a package. */
  readonly script: string
  readonly nodeFlags: readonly string[]
  readonly socket: string
  readonly index: number
  readonly logLevel: string
  readonly logFormat: 'json' | 'pretty'
}

/**
 * Sockets that live for one transaction cost less without libuv's way of batching `epoll_ctl` through
 * io_uring: 391 µs of CPU a connection instead of 446 (means of two runs each, pgbench -C).
 */
const PLAIN_EPOLL = { UV_USE_IO_URING: '0' }

/** In a worker's environment: whose it is. Unlike its command line it can't be changed by a title. */
const MARK = 'PGSTEER_WORKER_OF'

/** Starts one; `onExit` is called once, also when it could not be started. Null: not started. */
export function startWorker(
  start: WorkerStart,
  onExit: (pid: number, how: string) => void,
): number | null {
  const child = spawn(process.execPath, [...start.nodeFlags, ...workerArguments(start)], {
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      ...compileCacheIn(dirname(start.socket)),
      ...PLAIN_EPOLL,
      [MARK]: start.socket,
    },
  })
  child.on('error', () => undefined) // no pid then: reported by the return value
  const { pid } = child
  if (pid === undefined) return null
  child.on('exit', (code, signal) => onExit(pid, signal ?? `exit code ${code}`))
  child.unref()
  return pid
}

/** True while `pid` is a worker that was started for this control socket. A zombie is not. */
export function isWorkerAlive(pid: number, socket: string): boolean {
  try {
    const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
    return variables.includes(`${MARK}=${socket}`)
  } catch {
    return false
  }
}

/** False when there is no such process any more. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}

function workerArguments(start: WorkerStart): string[] {
  const { script, socket, index, logLevel, logFormat } = start
  return [
    script,
    ...['--socket', socket, '--index', String(index)],
    ...['--log-level', logLevel, '--log-format', logFormat],
  ]
}
