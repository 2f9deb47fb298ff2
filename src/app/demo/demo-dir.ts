/** The directory of a demo: fresh or given, and empty in both cases, so that removing it is safe. */
import { chownSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { DemoFault } from './fault.ts'
import { type Account, canWriteIn } from './machine.ts'

/** Unix sockets below it must fit the kernel's 107 bytes. */
const PATH_MAX = 78

/**
 * Makes the directory, owned by `account`. A given one may exist but must be empty: an earlier
 * demo's is refused, because all that is in it would be removed at the end.
 */
export function makeDemoDir(given: string | null, account: Account | null): string {
  const dir = given === null ? mkdtempSync(join(tmpdir(), 'pgsteer-demo-')) : takeGiven(given)
  if (Buffer.byteLength(dir) > PATH_MAX) {
    return refuse(dir, `${dir} is too long: at most ${PATH_MAX} bytes, for the sockets in it`)
  }
  if (account !== null) chownSync(dir, account.uid, account.gid)
  if (!canWriteIn(dir, account)) {
    const words = 'PostgreSQL runs as the user "postgres", who cannot enter'
    return refuse(dir, `${words} ${dir}: choose a --dir below a directory open to all, like /tmp`)
  }
  return dir
}

function takeGiven(given: string): string {
  const dir = resolve(given)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  if (readdirSync(dir).length > 0) {
    throw new DemoFault(`${dir} is not empty: a demo needs a directory of its own (it removes it)`)
  }
  return realpathSync(dir)
}

function refuse(dir: string, words: string): never {
  rmSync(dir, { recursive: true, force: true })
  throw new DemoFault(words)
}
