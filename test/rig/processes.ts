/**
 * Whatever a test starts, it ends: processes, files and anything deferred, also when the test fails
 * or its process dies. A process that outlives its orderly end is a leak and fails the test.
 */
import { chmodSync, chownSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import {
  type Child,
  type Keeper,
  openKeeper,
  type StartOptions,
} from '../../src/app/demo/keeper.ts'
import {
  type Account,
  findPrograms,
  type Programs,
  serverAccount,
} from '../../src/app/demo/machine.ts'
import { claimPorts } from './ports.ts'
import { until } from './wait.ts'

const LEAVE_MS = 5000

export type Rig = {
  readonly dir: string
  readonly keeper: Keeper
  readonly programs: Programs
  /** What PostgreSQL runs as; null: as ourselves. */
  readonly account: Account | null
  /** The next `count` ports of this rig's block. */
  takePorts(count: number): number
  start(program: string, args: readonly string[], options?: Partial<StartOptions>): Child
  /** Runs at the end, last deferred first. */
  defer(end: () => void | Promise<void>): void
  /** Marked processes that run now, with their command lines. */
  running(): string[]
  end(): Promise<void>
}

/** A rig that ends with the test or suite `t`. KEEP=1 in the environment keeps its directory. */
export async function openRig(t: Pick<TestContext, 'after'>): Promise<Rig> {
  const rig = await makeRig()
  t.after(() => rig.end())
  return rig
}

/** For `before`/`after` pairs: the caller must call `end`. */
export async function makeRig(): Promise<Rig> {
  const keepDir = process.env['KEEP'] === '1'
  const programs = findPrograms()
  const account = serverAccount()
  const dir = mkdtempSync(join(tmpdir(), 'pgsteer-test-'))
  if (account !== null) chownSync(dir, account.uid, account.gid)
  chmodSync(dir, 0o755)
  const ports = await claimPorts()
  const keeper = openKeeper(dir, { keepDir })
  const ends: (() => void | Promise<void>)[] = []
  let nextPort = ports.base
  return {
    dir,
    keeper,
    programs,
    account,
    takePorts(count) {
      const first = nextPort
      nextPort += count
      if (nextPort > ports.base + 100) throw new Error('this rig has used up its ports')
      return first
    },
    start: (program, args, options = {}) =>
      keeper.start(program, args, { log: join(dir, 'processes.log'), ...options }),
    defer: (end) => void ends.unshift(end),
    running: () => keeper.running().map(describeProcess),
    async end() {
      const faults: unknown[] = []
      for (const end of ends.splice(0)) {
        try {
          await end()
        } catch (error) {
          faults.push(error)
        }
      }
      await keeper.end({ keepDir }).catch((error: unknown) => faults.push(error))
      ports.release()
      if (faults.length > 0) throw new AggregateError(faults, 'the rig did not end cleanly')
    },
  }
}

/** Fails unless every process of the rig leaves by itself; for tests of orderly ends. */
export async function assertNoProcesses(rig: Rig): Promise<void> {
  await until(() => rig.running().length === 0, { limitMs: LEAVE_MS, what: 'end' }).catch(() => {
    throw new Error(`left behind: ${rig.running().join(' | ')}`)
  })
}

function describeProcess(pid: number): string {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ')
    return `${pid} ${words.slice(0, 120)}`
  } catch {
    return String(pid)
  }
}
