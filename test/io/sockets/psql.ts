/** Programs that speak to a router: psql and its relatives, run without a terminal. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import type { Rig } from '../../rig/processes.ts'

const LIMIT_MS = 30_000

export type Ran = { readonly code: number; readonly out: string; readonly err: string }

/** Runs a program of PostgreSQL's; never rejects. */
export function runClient(
  rig: Rig,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  const path = program.startsWith('/') ? program : join(rig.programs.postgresBin, program)
  return new Promise((resolve) => {
    execFile(
      path,
      args,
      { cwd: '/', timeout: LIMIT_MS, env: { ...process.env, PGPASSWORD: 'postgres', ...env } },
      (error, out, err) => {
        const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : 1
        resolve({ code, out: out.trim(), err: err.trim() })
      },
    )
  })
}

/** One statement by psql; `conninfo` beyond host, port, user and database. */
export function psql(rig: Rig, port: number, sql: string, conninfo = ''): Promise<Ran> {
  const target = `host=127.0.0.1 port=${port} user=postgres dbname=postgres ${conninfo}`
  return runClient(rig, 'psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', target, '-c', sql])
}
