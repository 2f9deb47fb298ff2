/**
 * Ports for tests, in blocks that nobody else holds: a lock file per block keeps test processes
 * apart, and every port of a block was free when it was given out.
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { takenPorts } from '../../src/app/demo/ports.ts'

/** Below the range the kernel takes client ports from. */
const FIRST = Number(process.env['PGSTEER_TEST_PORTS'] ?? 20_000)
const BLOCK = 100
const BLOCKS = 60
const LOCKS = join(tmpdir(), `pgsteer-test-ports-${process.getuid?.() ?? 0}`)

export type PortBlock = {
  /** First of `BLOCK` ports. */
  readonly base: number
  release(): void
}

export async function claimPorts(): Promise<PortBlock> {
  for (let block = 0; block < BLOCKS; block++) {
    const base = FIRST + block * BLOCK
    const lock = join(LOCKS, String(base))
    if (!takeLock(lock)) continue
    const ports = Array.from({ length: BLOCK }, (_, index) => base + index)
    if ((await takenPorts(ports)).length === 0) return { base, release: () => dropLock(lock) }
    dropLock(lock)
  }
  throw new Error(`no free block of ${BLOCK} ports from ${FIRST} on`)
}

/** True when the lock is ours now; one whose owner ended does not count. */
function takeLock(path: string): boolean {
  if (writeLock(path)) return true
  if (ownerLives(path)) return false
  rmSync(path, { force: true })
  return writeLock(path)
}

function writeLock(path: string): boolean {
  try {
    mkdirSync(LOCKS, { recursive: true })
    writeFileSync(path, String(process.pid), { flag: 'wx' })
    return true
  } catch {
    return false
  }
}

/** The directory goes with its last lock; those of processes that were killed go too. */
function dropLock(path: string): void {
  rmSync(path, { force: true })
  try {
    const others = readdirSync(LOCKS).map((name) => join(LOCKS, name))
    for (const other of others) if (!ownerLives(other)) rmSync(other, { force: true })
    rmdirSync(LOCKS)
  } catch {
    // Others hold locks.
  }
}

function ownerLives(path: string): boolean {
  try {
    process.kill(Number(readFileSync(path, 'utf8')), 0)
    return true
  } catch {
    return false
  }
}
