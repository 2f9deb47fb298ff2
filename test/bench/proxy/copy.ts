/** COPY both ways by psql, a real libpq client; data is made by the server, nothing touches a disk. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Postgres } from '../../rig/postgres.ts'
import type { Rig } from '../../rig/processes.ts'
import { cpuUs, processTree } from '../kit/proc.ts'
import type { Contender } from './contenders.ts'

export type CopyResult = { readonly mbPerSecond: number; readonly cpuUsPerMb: number | null }

const ROW = 1024
const MB = 2 ** 20
/** A proxy that changes a byte is out of the race: looked at before it is measured. */
const PROBE_ROWS = 20_000

export function copyQuery(rows: number): string {
  return `COPY (SELECT i, repeat(md5(i::text), ${ROW / 32}) FROM generate_series(1, ${rows}) i) TO STDOUT`
}

/** Bytes of the rows in COPY's text form: number, tab, text, newline. */
export function copyBytes(rows: number): number {
  let digits = 0
  for (let low = 1, width = 1; low <= rows; low *= 10, width++) {
    digits += (Math.min(rows, low * 10 - 1) - low + 1) * width
  }
  return digits + rows * (ROW + 2)
}

export function copyRows(mb: number): number {
  return Math.round((mb * MB) / ROW)
}

/** The file that COPY in sends, made once. Returns its path. */
export async function prepareCopy(rig: Rig, postgres: Postgres, mb: number): Promise<string> {
  await postgres.query('DROP TABLE IF EXISTS bench_copy')
  await postgres.query('CREATE UNLOGGED TABLE bench_copy (i int, t text)')
  const file = join(rig.dir, 'copy.txt')
  await psql(rig, postgres.port, copyQuery(copyRows(mb)), { to: file })
  return file
}

export async function measureCopyOut(rig: Rig, contender: Contender, mb: number) {
  const rows = copyRows(mb)
  return measure(contender, copyBytes(rows), () => psql(rig, contender.port, copyQuery(rows), {}))
}

/** The server reads every row and keeps none, so that its disk is not what is measured. */
export async function measureCopyIn(rig: Rig, contender: Contender, mb: number, file: string) {
  const statement = 'COPY bench_copy FROM STDIN WHERE i < 0'
  return measure(contender, copyBytes(copyRows(mb)), () =>
    psql(rig, contender.port, statement, { from: file }),
  )
}

/** Both ways, byte for byte. Throws when something else arrives than was sent. */
export async function verifyCopy(rig: Rig, postgres: Postgres, contender: Contender) {
  const [sent, received] = [postgres.port, contender.port].map((port) =>
    psqlDigest(rig, port, copyQuery(PROBE_ROWS)),
  )
  const [wanted, got] = await Promise.all([sent, received])
  if (wanted !== got) throw new Error(`COPY out through ${contender.name} changed bytes`)
  const file = join(rig.dir, `probe-${contender.name}.txt`)
  await psql(rig, contender.port, copyQuery(PROBE_ROWS), { to: file })
  await psql(rig, contender.port, 'COPY bench_copy FROM STDIN', { from: file })
  const rows = await postgres.query(
    `SELECT count(*)::int AS n, bool_and(t = repeat(md5(i::text), ${ROW / 32})) AS same FROM bench_copy`,
  )
  await postgres.query('TRUNCATE bench_copy')
  if (rows[0]?.['n'] !== PROBE_ROWS || rows[0]?.['same'] !== true) {
    throw new Error(`COPY in through ${contender.name} changed bytes: ${JSON.stringify(rows[0])}`)
  }
  if ((await digestOf(file)) !== wanted || statSync(file).size !== copyBytes(PROBE_ROWS)) {
    throw new Error(`COPY out through ${contender.name} is not what was asked for`)
  }
}

async function measure(
  contender: Contender,
  bytes: number,
  run: () => Promise<void>,
): Promise<CopyResult> {
  const pids = processTree(contender.pids)
  const costBefore = cpuUs(pids)
  const start = performance.now()
  await run()
  const seconds = (performance.now() - start) / 1000
  const cost = cpuUs(pids) - costBefore
  const mb = bytes / MB
  return {
    mbPerSecond: mb / seconds,
    cpuUsPerMb: contender.pids.length === 0 ? null : cost / mb,
  }
}

function psqlArgs(port: number, statement: string): readonly string[] {
  return ['-X', '-q', '-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', '-c', statement]
}

/** By way of a shell for its redirections; the statement is an argument, not shell text. */
async function psql(
  rig: Rig,
  port: number,
  statement: string,
  { from = '/dev/null', to = '/dev/null' }: { readonly from?: string; readonly to?: string },
): Promise<void> {
  const program = join(rig.programs.postgresBin, 'psql')
  const script = 'from=$1 to=$2; shift 2; exec "$@" <"$from" >"$to"'
  const words = ['sh', from, to, program, ...psqlArgs(port, statement), '-d', 'postgres']
  const log = join(rig.dir, 'psql.log')
  const { code } = await rig.start('/bin/sh', ['-c', script, ...words], { log }).ended
  if (code !== 0) throw new Error(`psql on port ${port} ended with ${code} (see ${log})`)
}

async function psqlDigest(rig: Rig, port: number, statement: string): Promise<string> {
  const program = join(rig.programs.postgresBin, 'psql')
  const child = spawn(program, [...psqlArgs(port, statement), '-d', 'postgres'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...rig.keeper.env },
  })
  const hash = createHash('sha256')
  for await (const chunk of child.stdout) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
