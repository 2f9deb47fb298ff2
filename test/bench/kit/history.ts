/** The history of figures: one JSON object a line, appended, kept in the repository. */
import { execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { dirname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '../../..')
const HISTORY = join(ROOT, 'test/bench/history')

export function appendHistory(name: string, entry: object): string {
  const path = join(HISTORY, `${name}.ndjson`)
  mkdirSync(dirname(path), { recursive: true })
  appendFileSync(path, `${JSON.stringify(entry)}\n`)
  return path
}

/** What ran where: enough to tell whether two lines may be compared. */
export function describeMachine(postgresBin: string) {
  return {
    date: new Date().toISOString(),
    versions: {
      pgsteer: packageVersion(),
      commit: commit(),
      node: process.version,
      haproxy: firstLine('haproxy', ['-v'], /version (\S+)/),
      pgbouncer: firstLine('pgbouncer', ['--version'], /PgBouncer (\S+)/),
      postgres: firstLine(join(postgresBin, 'postgres'), ['--version'], /PostgreSQL\) (\S+)/),
      patroni: firstLine('patroni', ['--version'], /patroni (\S+)/),
      kernel: release(),
    },
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryMb: Math.round(totalmem() / 2 ** 20),
      loadBefore: loadavg().map((load) => Math.round(load * 100) / 100),
    },
  }
}

function packageVersion(): string {
  const text = readFileSync(join(ROOT, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** Null outside a git checkout; `+` when tracked files differ from it. */
function commit(): string | null {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' }).trim()
    const changed = git('status', '--porcelain', '--', 'src') !== ''
    return `${git('rev-parse', '--short', 'HEAD')}${changed ? '+' : ''}`
  } catch {
    return null
  }
}

function firstLine(program: string, args: readonly string[], pattern: RegExp): string | null {
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/bin`
  const { stdout } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, PATH: path },
  })
  return pattern.exec(stdout ?? '')?.[1] ?? null
}
