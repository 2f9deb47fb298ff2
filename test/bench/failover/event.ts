/** One failover, done to both fleets at once, from calm to calm. */
import pg from 'pg'
import type { PatroniRig } from '../../rig/patroni.ts'
import { until } from '../../rig/wait.ts'
import type { Instant } from '../kit/gaps.ts'
import { nowMs } from '../kit/monotonic.ts'
import { measureFor } from '../kit/wait.ts'
import type { FleetProcess } from './fleet-process.ts'
import type { FleetReport } from './messages.ts'
import type { Observer, Turn } from './observer.ts'
import type { Kind } from './options.ts'
import { type Event, judgeFleet, type Outcome } from './outcome.ts'

export type Arena = {
  readonly patroni: PatroniRig
  readonly fleets: readonly FleetProcess[]
  readonly observer: Observer
  readonly writers: number
}

const CALM_MS = 1500
const PRIMARY_LIMIT_MS = 120_000
const BACK_LIMIT_MS = 90_000
const HEALTHY_LIMIT_MS = 180_000
const COLLECT_MS = 250
const SWITCHOVER_LIMIT_MS = 60_000

/** Does it, waits until every writer writes again and every replica streams, and reads back. */
export async function runEvent(arena: Arena, kind: Kind, round: number): Promise<Outcome[]> {
  const { patroni, fleets, observer, writers } = arena
  const leader = await patroni.awaitHealthy(HEALTHY_LIMIT_MS)
  const books = fleets.map(() => new Book(writers))
  for (const fleet of fleets) await fleet.collect()
  const fromMs = nowMs()
  await measureFor(CALM_MS)
  const triggeredMs = nowMs()
  const [writable] = await Promise.all([
    awaitPrimary(observer, triggeredMs),
    strike(patroni, kind, leader),
  ])
  await until(
    async () => {
      await collect(fleets, books)
      return books.every((book) => book.allBack(writable))
    },
    { limitMs: BACK_LIMIT_MS, what: 'return of all writers', everyMs: COLLECT_MS },
  )
  if (kind === 'node') patroni.node(leader).start()
  const primary = await patroni.awaitHealthy(HEALTHY_LIMIT_MS)
  await measureFor(CALM_MS)
  await collect(fleets, books)
  const event: Event = { kind, round, fromMs, triggeredMs, toMs: nowMs(), writable }
  const outcomes: Outcome[] = []
  for (const [at, { name }] of fleets.entries()) {
    const report = books[at]!.report
    const present = await readBack(patroni, primary, name, report)
    outcomes.push(judgeFleet(name, writers, event, report, present))
  }
  return outcomes
}

async function strike(patroni: PatroniRig, kind: Kind, leader: string): Promise<void> {
  switch (kind) {
    case 'switchover':
      return askSwitchover(patroni, leader)
    case 'postmaster':
      return patroni.killPostmaster(leader)
    case 'node':
      return patroni.killNode(leader)
  }
}

/** By REST and not by patronictl: the blow falls when we say so. */
async function askSwitchover(patroni: PatroniRig, leader: string): Promise<void> {
  const reply = await fetch(`${patroni.node(leader).rest}/switchover`, {
    method: 'POST',
    body: JSON.stringify({ leader }),
    signal: AbortSignal.timeout(SWITCHOVER_LIMIT_MS),
  })
  const words = await reply.text()
  if (!reply.ok) throw new Error(`Patroni refused the switchover: ${reply.status} ${words}`)
}

async function awaitPrimary(observer: Observer, sinceMs: Instant): Promise<Turn> {
  return until(() => observer.primariesSince(sinceMs)[0] ?? null, {
    limitMs: PRIMARY_LIMIT_MS,
    what: 'new primary',
    everyMs: 5,
  })
}

async function collect(fleets: readonly FleetProcess[], books: readonly Book[]): Promise<void> {
  for (const [at, fleet] of fleets.entries()) books[at]?.add(await fleet.collect())
}

/** What a fleet reported in the course of one event. */
class Book {
  readonly #writers: number
  readonly #acks: FleetReport['acks'][number][] = []
  readonly #faults: FleetReport['faults'][number][] = []
  readonly #probes: FleetReport['probes'][number][] = []

  constructor(writers: number) {
    this.#writers = writers
  }

  get report(): FleetReport {
    return { acks: this.#acks, faults: this.#faults, probes: this.#probes }
  }

  add({ acks, faults, probes }: FleetReport): void {
    for (const ack of acks) this.#acks.push(ack)
    for (const fault of faults) this.#faults.push(fault)
    for (const probe of probes) this.#probes.push(probe)
  }

  /** Every writer, and the prober, had a write acknowledged by the new primary. */
  allBack({ port, atMs }: Turn): boolean {
    const back = new Set(
      this.#acks.filter((ack) => ack.port === port && ack.ackMs > atMs).map((ack) => ack.writer),
    )
    return back.size === this.#writers + 1
  }
}

/** Directly on the server that leads now, past both routers. */
async function readBack(
  patroni: PatroniRig,
  primary: string,
  fleet: string,
  { acks }: FleetReport,
): Promise<ReadonlySet<number>> {
  const { host, port } = patroni.node(primary).postgres
  const client = new pg.Client({ connectionString: patroni.appUrl(host, port) })
  await client.connect()
  try {
    const sql = 'SELECT id::float8 AS id FROM bench_writes WHERE fleet = $1 AND id = ANY($2)'
    const { rows } = await client.query<{ id: number }>(sql, [fleet, acks.map(({ id }) => id)])
    return new Set(rows.map(({ id }) => id))
  } finally {
    await client.end()
  }
}
