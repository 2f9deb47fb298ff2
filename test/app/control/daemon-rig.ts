/**
 * A daemon in a directory of its own with fake workers, for tests: started, asked, and whatever it
 * started ended again.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { readWorkerNotes } from '../../../src/io/processes/run-dir.ts'
import { isWorkerAlive, signalProcess } from '../../../src/io/processes/worker-process.ts'
import { claimPorts } from '../../rig/ports.ts'
import { until } from '../../rig/wait.ts'

const WAIT_MS = 15_000
const here = (name: string) => new URL(name, import.meta.url).pathname

type WorkerRow = { index: number; pid: number; listening: boolean; connected: boolean }
export type Report = { workers: WorkerRow[]; control: { pid: number }; [key: string]: unknown }

export class DaemonRig {
  readonly dir = mkdtempSync(join(tmpdir(), 'pgsteer-control-'))
  readonly runDir = join(this.dir, 'run')
  readonly socket = join(this.runDir, 'control.sock')
  /** First of the ports that are the test's alone; the daemon's REST is on it. */
  readonly port: number
  output = ''
  readonly #config = join(this.dir, 'node.yml')
  readonly #seen = new Set<number>()
  readonly #children: ChildProcess[] = []

  constructor(port: number) {
    this.port = port
    this.write('mode: tunnel')
  }

  /** The configuration; `listener` says more about its only listener. */
  write(listener: string, etcd = '127.0.0.1:1'): void {
    const rest = `127.0.0.1:${this.port}`
    const lines = [
      'scope: rig',
      'name: n1',
      `etcd3: {hosts: ["${etcd}"]}`,
      `restapi: {listen: "${rest}", connect_address: "${rest}"}`,
      'router:',
      `  run_dir: ${this.runDir}`,
      '  workers: 2',
      '  limits: {max_clients: 40}',
      '  listeners:',
      `    - {name: write, listen: "127.0.0.1:1", target: primary, ${listener}}`,
    ]
    writeFileSync(this.#config, `${lines.join('\n')}\n`)
  }

  start(): ChildProcess {
    const args = [here('run-control.ts'), this.#config, here('fake-worker.ts')]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'pipe'] })
    child.stderr?.on('data', (chunk: Buffer) => {
      this.output += chunk.toString()
    })
    this.#children.push(child)
    return child
  }

  get(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, { signal: AbortSignal.timeout(3000) })
  }

  async report(): Promise<Report> {
    const report = (await (await this.get('/router')).json()) as Report
    for (const { pid } of report.workers) this.#seen.add(pid)
    return report
  }

  /** The report once both workers listen (and `also` holds). */
  settled(also: (report: Report) => boolean = () => true): Promise<Report> {
    const look = async () => {
      const report = await this.report()
      const { workers } = report
      const ready = workers.length === 2 && workers.every((it) => it.listening && it.connected)
      return ready && also(report) ? report : null
    }
    return until(look, { limitMs: WAIT_MS, what: 'settled daemon', everyMs: 20 })
  }

  logged(words: RegExp): Promise<boolean> {
    const look = () => words.test(this.output)
    return until(look, { limitMs: WAIT_MS, what: `line ${words}`, everyMs: 20 })
  }

  /** The value of a metric with its labels, if any; null while it is not there. */
  async metric(name: string): Promise<number | null> {
    const text = await (await this.get('/metrics')).text()
    const line = text.split('\n').find((it) => it.startsWith(`${name} `))
    return line === undefined ? null : Number(line.slice(name.length))
  }

  /** Reads `GET /events` from the first event on until there is enough. */
  async events(enough: (text: string) => boolean): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.port}/events?since=0`, {
      signal: AbortSignal.timeout(WAIT_MS),
    })
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true })
      if (enough(text)) break
    }
    return text
  }

  async close(): Promise<void> {
    for (const child of this.#children) await killed(child)
    for (const pid of notedPids(this.runDir)) this.#seen.add(pid)
    this.#killSuccessors()
    for (const pid of this.#seen) if (isWorkerAlive(pid, this.socket)) signalProcess(pid, 'SIGKILL')
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 })
  }

  /** Control processes that ours started, by their own word; ended with the rest. */
  #killSuccessors(): void {
    for (const [, pid] of this.output.matchAll(/"pid":(\d+),"msg":"successor started"/g)) {
      const environment = readEnvironment(Number(pid))
      const isOurs = this.#children.some((it) => environment.includes(`_SUCCESSOR_OF=${it.pid}\0`))
      if (isOurs) signalProcess(Number(pid), 'SIGKILL')
    }
  }
}

/** A rig that ends with the test. */
export async function openRig(t: TestContext): Promise<DaemonRig> {
  const ports = await claimPorts()
  const rig = new DaemonRig(ports.base)
  t.after(async () => {
    await rig.close()
    ports.release()
  })
  return rig
}

function readEnvironment(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8')
  } catch {
    return ''
  }
}

export function pids(report: Report): number[] {
  return report.workers.map((it) => it.pid)
}

export function notedPids(runDir: string): number[] {
  try {
    return readWorkerNotes(runDir).map((it) => it.pid)
  } catch {
    return []
  }
}

export function exitCode(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode)
  return new Promise((resolve) => void child.once('exit', (code) => resolve(code)))
}

export async function killed(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await exitCode(child)
  assert.ok(child.exitCode !== null || child.signalCode !== null)
}
