/**
 * Applications for a cluster under faults: writers that keep a session and reconnect when it is cut,
 * probers that connect anew for each write. Every statement is accounted for: acknowledged, or failed
 * with a code at a stage.
 */
import assert from 'node:assert/strict'
import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import pg from 'pg'
import { until } from '../rig/wait.ts'

/** Times are `performance.now()`. `port`: the PostgreSQL server that took the write. */
export type Ack = {
  readonly id: string
  readonly port: number
  readonly beganMs: number
  readonly ackedMs: number
}
export type Failure = {
  /**
   * `connect`: the client had been told nothing but who to be. `login`: it was proving that, to one
   * server and no other: only the death of that server may end it. `session`: it was let in.
   */
  readonly stage: 'connect' | 'login' | 'session'
  readonly code: string
  readonly words: string
  readonly atMs: number
}

type Kind = 'writer' | 'prober'

/** What a session may end with when its primary changes or dies. */
const CUT_CODES = ['57P01', '08006', 'closed']
/** Longer than any router holds: a client that gives up first would hide what the router does. */
const CONNECT_MS = 120_000
const STOP_MS = 60_000
const TABLE = 'written'
/** The statement before each write keeps the session busy for a moment, and paces the writer. */
const PAUSE = 'SELECT pg_sleep(0.02)'
const WRITE = `INSERT INTO ${TABLE} (id) VALUES ($1) RETURNING port`

/** Loads of one process so far: ids are never used twice. */
let loads = 0

export class Load {
  readonly acks: Ack[] = []
  readonly failures: Failure[] = []
  readonly #clients: Promise<void>[] = []
  readonly #open = new Set<pg.Client>()
  #stopping = false
  #lastId = 0
  readonly #name = `load${++loads}`

  /** Makes the table; `url` leads to the primary. */
  static async prepare(url: string): Promise<void> {
    const port = "int NOT NULL DEFAULT current_setting('port')::int"
    await query(url, `CREATE TABLE IF NOT EXISTS ${TABLE} (id text PRIMARY KEY, port ${port})`)
  }

  /** `writers` and `probers` on each of the URLs. */
  start(urls: readonly string[], count: { readonly writers: number; readonly probers: number }) {
    for (const url of urls) {
      for (let i = 0; i < count.writers; i++) this.#clients.push(this.#run(url, 'writer'))
      for (let i = 0; i < count.probers; i++) this.#clients.push(this.#run(url, 'prober'))
    }
  }

  /** Resolves when `count` writes begun after `sinceMs` were acknowledged by this server. */
  async awaitWrites(sinceMs: number, limitMs: number, port?: number, count = 20): Promise<void> {
    const isIt = (ack: Ack) => ack.beganMs > sinceMs && (port === undefined || ack.port === port)
    const what = `${count} writes${port === undefined ? '' : ` on ${port}`}`
    await until(() => this.acks.filter(isIt).length >= count, { limitMs, what })
  }

  /** Lets every client end its statement and leave. */
  async stop(): Promise<void> {
    this.#stopping = true
    const ended = Promise.all(this.#clients).then(() => true)
    let isOver = false
    void ended.then(() => {
      isOver = true
    })
    await until(() => isOver, { limitMs: STOP_MS, what: 'end of the clients' })
  }

  /** Ends every client at once; for tests that failed. */
  abandon(): void {
    this.#stopping = true
    for (const client of this.#open) streamOf(client).destroy()
  }

  /** The longest time without any acknowledgement after `sinceMs`. */
  gapMs(sinceMs: number): number {
    const times = this.acks.map(({ ackedMs }) => ackedMs).filter((ms) => ms >= sinceMs)
    return times
      .sort((a, b) => a - b)
      .reduce(({ last, gap }, ms) => ({ last: ms, gap: Math.max(gap, ms - last) }), {
        last: sinceMs,
        gap: 0,
      }).gap
  }

  /**
   * No error for who connects; sessions end only as lost connections; no read-only primary. With
   * `crash` a login may be lost too: it can't go on with another server.
   */
  assertOnlyCut(sinceMs = 0, crash = false): void {
    const stages = crash ? ['session', 'login'] : ['session']
    const wrong = this.failures.filter(
      ({ stage, code, atMs }) =>
        atMs >= sinceMs && !(stages.includes(stage) && CUT_CODES.includes(code)),
    )
    assert.deepEqual(wrong, [])
  }

  assertNoFailure(sinceMs = 0): void {
    assert.deepEqual(
      this.failures.filter(({ atMs }) => atMs >= sinceMs),
      [],
    )
  }

  /** What was acknowledged is there, and on the server that acknowledged it. */
  async assertKept(url: string): Promise<void> {
    const rows = (await query(url, `SELECT id, port FROM ${TABLE}`)) as {
      id: string
      port: number
    }[]
    const kept = new Map(rows.map(({ id, port }) => [id, port]))
    assert.deepEqual(
      this.acks.filter(({ id, port }) => kept.get(id) !== port),
      [],
    )
  }

  /**
   * At no instant two servers took writes: once a write was acknowledged by the next server, none
   * begun later was by the one before. `ports`: the servers in the order they led from `sinceMs` on.
   */
  assertOnePrimary(sinceMs: number, from: number, to: number): void {
    if (from === to) return
    const after = this.acks.filter(({ beganMs }) => beganMs >= sinceMs)
    const firstMs = Math.min(...after.filter((it) => it.port === to).map((it) => it.ackedMs))
    assert.deepEqual(
      after.filter((it) => it.port !== to && it.beganMs > firstMs),
      [],
    )
  }

  async #run(url: string, kind: Kind): Promise<void> {
    while (!this.#stopping) {
      const client = await this.#connect(url)
      if (client === null) continue
      try {
        do await this.#write(client)
        while (kind === 'writer' && !this.#stopping)
      } catch (error) {
        this.#fail('session', error)
      }
      this.#open.delete(client)
      await client.end().catch(() => undefined)
    }
  }

  async #connect(url: string): Promise<pg.Client | null> {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_MS })
    client.on('error', () => undefined) // the statement that fails of it is what counts
    let stage: Failure['stage'] = 'connect'
    connectionOf(client).once('authenticationSASLContinue', () => {
      stage = 'login'
    })
    this.#open.add(client)
    try {
      await client.connect()
      return client
    } catch (error) {
      this.#open.delete(client)
      this.#fail(stage, error)
      return null
    }
  }

  async #write(client: pg.Client): Promise<void> {
    await client.query(PAUSE)
    this.#lastId += 1
    const id = `${this.#name}-${this.#lastId}`
    const beganMs = performance.now()
    const { rows } = await client.query<{ port: number }>(WRITE, [id])
    this.acks.push({ id, port: rows[0]?.port ?? 0, beganMs, ackedMs: performance.now() })
  }

  #fail(stage: Failure['stage'], error: unknown): void {
    this.failures.push({ stage, ...describeFailure(error), atMs: performance.now() })
  }
}

type Inside = { connection: EventEmitter & { stream: Duplex } }

/** What the driver does not show in its types. */
function connectionOf(client: pg.Client): EventEmitter {
  return (client as unknown as Inside).connection
}

function streamOf(client: pg.Client): Duplex {
  return (client as unknown as Inside).connection.stream
}

/** SQLSTATE, or `closed` for a connection that ended without one. */
export function describeFailure(error: unknown): { code: string; words: string } {
  const { code = '', message } = error as { code?: string; message: string }
  if (/^[0-9A-Z]{5}$/.test(code) && code !== 'EPIPE') return { code, words: message }
  const isClosed =
    ['ECONNRESET', 'EPIPE'].includes(code) ||
    /connection (terminated|error and is not queryable)|not queryable/i.test(message)
  return { code: isClosed ? 'closed' : code || 'unknown', words: message }
}

/** One statement over a connection of its own. */
export async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_MS })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end().catch(() => undefined)
  }
}
