/**
 * Starts the process that takes over from this one: the same command line, so an upgrade on disk
 * comes into effect. It knows by its environment that the run directory may still be in use.
 */
import { spawn } from 'node:child_process'

const MARK = 'PGSTEER_SUCCESSOR_OF'

/** The pid of the process we are to take over from, or null. Removes the mark from the environment. */
export function predecessorPid(): number | null {
  const text = process.env[MARK]
  delete process.env[MARK]
  const pid = Number(text)
  return text !== undefined && Number.isSafeInteger(pid) && pid > 0 ? pid : null
}

/** Starts the successor; `onExit` tells that it ended while we still live. Null: not started. */
export function startSuccessor(onExit: (how: string) => void): number | null {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, [MARK]: String(process.pid) },
  })
  child.on('error', () => undefined)
  child.on('exit', (code, signal) => onExit(signal ?? `exit code ${code}`))
  child.unref()
  return child.pid ?? null
}
