/** What the machine offers: the programs a cluster needs, and the account PostgreSQL can run as. */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { DemoFault } from './fault.ts'

export type Programs = {
  readonly etcd: string
  readonly patroni: string
  readonly patronictl: string
  /** Directory with initdb, postgres, pg_ctl, psql, pgbench. */
  readonly postgresBin: string
}

const POSTGRES_HOME = '/usr/lib/postgresql'
const POSTGRES_OLDEST = 13

/**
 * Finds all programs, or names what is missing and how to get it. `places` are the directories of
 * programs, `postgresHome` is where Debian keeps its versions of PostgreSQL.
 */
export function findPrograms(places = programPlaces(), postgresHome = POSTGRES_HOME): Programs {
  const etcd = whichProgram('etcd', places)
  const patroni = whichProgram('patroni', places)
  const patronictl = whichProgram('patronictl', places)
  const postgresBin = findPostgresBin(places, postgresHome)
  if (etcd !== null && patroni !== null && patronictl !== null && postgresBin !== null) {
    return { etcd, patroni, patronictl, postgresBin }
  }
  const missing = [
    etcd === null ? 'etcd' : [],
    patroni === null || patronictl === null ? 'patroni' : [],
    postgresBin === null ? `PostgreSQL ${POSTGRES_OLDEST} or newer` : [],
  ].flat()
  throw new DemoFault(
    `not installed: ${missing.join(', ')}. In a checkout "npm run setup" installs what is missing; ` +
      'on Debian otherwise: apt-get install postgresql etcd-server patroni python3-etcd',
  )
}

/** Path of a program on the PATH or in the usual places of system programs; null when absent. */
export function whichProgram(name: string, places = programPlaces()): string | null {
  return places.map((place) => join(place, name)).find(isExecutable) ?? null
}

function programPlaces(): readonly string[] {
  return [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/bin']
}

/** The newest server of Debian's layout, else the directory of a `postgres` on the PATH. */
function findPostgresBin(places: readonly string[], home: string): string | null {
  const versions = listNames(home)
    .map(Number)
    .filter((version) => version >= POSTGRES_OLDEST)
    .sort((a, b) => b - a)
    .map((version) => `${home}/${version}/bin`)
  const onPath = whichProgram('postgres', places)?.replace(/\/postgres$/, '')
  const bins = onPath === undefined ? versions : [...versions, onPath]
  return bins.find((bin) => isExecutable(`${bin}/postgres`)) ?? null
}

export type Account = { readonly uid: number; readonly gid: number }

/** The account to drop to for PostgreSQL, which refuses root; null: stay who we are. */
export function serverAccount(): Account | null {
  if (process.getuid?.() !== 0) return null
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith('postgres:'))
  const [, , uid, gid] = line?.split(':') ?? []
  if (uid === undefined || gid === undefined) {
    throw new DemoFault('running as root, and there is no user "postgres" to run PostgreSQL as')
  }
  return { uid: Number(uid), gid: Number(gid) }
}

/** Whether the account can write in this directory, all parents considered. */
export function canWriteIn(dir: string, account: Account | null): boolean {
  const probe = spawnSync('/bin/sh', ['-c', 'test -w "$1" && test -x "$1"', 'sh', dir], {
    ...(account ?? {}),
    cwd: '/',
    stdio: 'ignore',
  })
  return probe.status === 0
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function listNames(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}
