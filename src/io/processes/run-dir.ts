/**
 * The run directory: control socket and a note about each worker, so that a restarted control
 * process knows which of them may still be alive. Mode 0700: who can enter it is trusted.
 */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type WorkerNote = { readonly index: number; readonly pid: number; readonly version: string }

const SHARED_ROOT = '/run/pgsteer'
const NOTE = /^worker-(\d{1,4})\.json$/

/**
 * Makes the directory and answers its path: `configured`, else `/run/pgsteer/<scope>-<name>` where
 * that can be made, else one under the temporary directory. Throws when none can be had.
 */
export function makeRunDir(configured: string | null, scope: string, name: string): string {
  const leaf = `${safeName(scope)}-${safeName(name)}`
  if (configured !== null) return make(configured)
  try {
    return make(join(SHARED_ROOT, leaf))
  } catch {
    const root = make(join(tmpdir(), `pgsteer-${process.getuid?.() ?? 0}`))
    return make(join(root, leaf))
  }
}

/** Notes of workers that were started from this directory; unreadable ones are passed over. */
export function readWorkerNotes(dir: string): WorkerNote[] {
  return readdirSync(dir).flatMap((file) => {
    const index = NOTE.exec(file)?.[1]
    const note = index === undefined ? null : readNote(join(dir, file))
    return note === null ? [] : [{ index: Number(index), ...note }]
  })
}

export function writeWorkerNote(dir: string, note: WorkerNote): void {
  const path = join(dir, `worker-${note.index}.json`)
  writeFileSync(`${path}.new`, `${JSON.stringify({ pid: note.pid, version: note.version })}\n`)
  renameSync(`${path}.new`, path)
}

/** Removes the note of `index`, if it is still about `pid`. */
export function removeWorkerNote(dir: string, index: number, pid: number): void {
  const path = join(dir, `worker-${index}.json`)
  if (readNote(path)?.pid === pid) rmSync(path, { force: true })
}

function readNote(path: string): { pid: number; version: string } | null {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
    const { pid, version } = value
    return Number.isSafeInteger(pid) && typeof version === 'string'
      ? { pid: pid as number, version }
      : null
  } catch {
    return null
  }
}

/** Anybody may write to the temporary directory: what others own or can enter is refused. */
function make(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const found = lstatSync(path)
  const ours = found.isDirectory() && found.uid === process.getuid?.()
  if (!ours || (found.mode & 0o077) !== 0) {
    throw new Error(`${path} must be a directory of this user with mode 0700`)
  }
  return path
}

function safeName(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9._-]/g, '_').slice(0, 40)
}
