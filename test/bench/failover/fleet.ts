/**
 * A process of its own: writers with a session each and one prober with a new session for each
 * write, all through one address. Writes are single autocommitted rows with ids nobody used before;
 * a writer that loses its session is back at once. Instants are of the machine's monotonic clock.
 */
import pg from 'pg'
import { classify } from '../kit/faults.ts'
import { nowMs } from '../kit/monotonic.ts'
import { measureFor } from '../kit/wait.ts'
import type { FleetFault, FleetPlan, FleetReport, FromFleet, ToFleet } from './messages.ts'

/** Longer than any router holds a client, shorter than for ever. */
const ANSWER_LIMIT_MS = 90_000
/** After a refused connection: at once, but not a busy loop. */
const AGAIN_MS = 5
const IDS_PER_WRITER = 100_000_000

const INSERT =
  'INSERT INTO bench_writes (fleet, id) VALUES ($1, $2) RETURNING inet_server_port() AS port'

class Fleet {
  readonly #plan: FleetPlan
  #report = emptyReport()
  readonly #nextId: number[]

  constructor(plan: FleetPlan) {
    this.#plan = plan
    this.#nextId = Array.from({ length: plan.writers + 1 }, (_, at) => at * IDS_PER_WRITER)
    for (let writer = 0; writer < plan.writers; writer++) void this.#write(writer)
    void this.#probe(plan.writers)
  }

  take(): FleetReport {
    const report = this.#report
    this.#report = emptyReport()
    return report
  }

  async #write(writer: number): Promise<void> {
    for (;;) {
      const session = new Session(this.#plan.url, 'writer', (fault) => this.#fault(fault))
      if (!(await session.open())) {
        await measureFor(AGAIN_MS)
        continue
      }
      while (session.isOpen) {
        if (await this.#insert(session, writer)) await measureFor(this.#plan.paceMs)
      }
      await session.close()
    }
  }

  async #probe(writer: number): Promise<void> {
    for (;;) {
      const startMs = nowMs()
      const session = new Session(this.#plan.url, 'prober', (fault) => this.#fault(fault))
      if ((await session.open()) && (await this.#insert(session, writer))) {
        this.#report.probes.push({ startMs, tookMs: nowMs() - startMs })
      }
      await session.close()
      await measureFor(this.#plan.probeMs)
    }
  }

  async #insert(session: Session, writer: number): Promise<boolean> {
    const id = this.#nextId[writer]!
    this.#nextId[writer] = id + 1
    const sentMs = nowMs()
    const port = await session.insert(this.#plan.fleet, id)
    if (port === null) return false
    this.#report.acks.push({ writer, id, sentMs, ackMs: nowMs(), port })
    return true
  }

  #fault(fault: FleetFault): void {
    this.#report.faults.push(fault)
  }
}

/** One connection. Its loss is told once, however many ways the driver says it. */
class Session {
  readonly #client: pg.Client
  readonly #by: FleetFault['by']
  readonly #onFault: (fault: FleetFault) => void
  #phase: FleetFault['phase'] = 'connect'
  #lost = false
  #told = false

  constructor(url: string, by: FleetFault['by'], onFault: (fault: FleetFault) => void) {
    this.#by = by
    this.#onFault = onFault
    this.#client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: ANSWER_LIMIT_MS,
      query_timeout: ANSWER_LIMIT_MS,
    })
    this.#client.on('error', (error) => this.#lose(error))
    this.#client.on('end', () => {
      this.#lost = true // why, the rejection that follows tells
    })
  }

  get isOpen(): boolean {
    return !this.#lost
  }

  async open(): Promise<boolean> {
    try {
      await this.#client.connect()
      this.#phase = 'idle'
      return true
    } catch (error) {
      this.#lose(error)
      return false
    }
  }

  /** Port of the server that took the row; null when it did not, or it is not known. */
  async insert(fleet: string, id: number): Promise<number | null> {
    this.#phase = 'statement'
    try {
      const query = { name: 'insert', text: INSERT, values: [fleet, id] }
      const { rows } = await this.#client.query<{ port: number }>(query)
      this.#phase = 'idle'
      return rows[0]?.port ?? null
    } catch (error) {
      this.#lose(error)
      return null
    }
  }

  async close(): Promise<void> {
    this.#lost = true
    this.#told = true
    await this.#client.end().catch(() => undefined)
  }

  /** An application drops a session that a statement failed on; so do we, for a clear count. */
  #lose(error: unknown): void {
    this.#lost = true
    if (this.#told) return
    this.#told = true
    const what = classify(error)
    this.#onFault({ atMs: nowMs(), by: this.#by, phase: this.#phase, what })
  }
}

function emptyReport() {
  return { acks: [], faults: [], probes: [] } as {
    acks: FleetReport['acks'][number][]
    faults: FleetFault[]
    probes: FleetReport['probes'][number][]
  }
}

let fleet: Fleet | null = null
const send = (message: FromFleet) => process.send?.(message)
process.on('message', (message: ToFleet) => {
  if (message.kind === 'start') fleet = new Fleet(message.plan)
  else if (message.kind === 'collect')
    send({ kind: 'report', report: fleet?.take() ?? emptyReport() })
  else process.exit(0)
})
process.on('disconnect', () => process.exit(0))
process.on('SIGINT', () => undefined) // the bench ends us
send({ kind: 'ready' })
