/**
 * Looks at every node directly, a few milliseconds apart and over a session that stays: when was
 * which server out of recovery? Independent of both routers and of Patroni.
 */
import pg from 'pg'
import type { Instant } from '../kit/gaps.ts'
import { nowMs } from '../kit/monotonic.ts'
import { measureFor } from '../kit/wait.ts'

const LOOK_MS = 3
const ANSWER_LIMIT_MS = 5000

/** A change of what was seen. `notBeforeMs`: the last look that still saw the old state began then. */
export type Turn = {
  readonly port: number
  readonly state: 'primary' | 'standby' | 'down'
  readonly atMs: Instant
  readonly notBeforeMs: Instant
}

export type Observer = {
  /** Turns to `primary` after this instant, in order of time. */
  primariesSince(atMs: Instant): readonly Turn[]
  stop(): Promise<void>
}

export function observe(
  servers: readonly { readonly port: number; readonly url: string }[],
): Observer {
  const turns: Turn[] = []
  const watch = { over: false }
  const loops = servers.map((server) => lookAt(server, turns, watch))
  return {
    primariesSince: (atMs) => turns.filter((turn) => turn.state === 'primary' && turn.atMs >= atMs),
    async stop() {
      watch.over = true
      await Promise.all(loops)
    },
  }
}

async function lookAt(
  { port, url }: { readonly port: number; readonly url: string },
  turns: Turn[],
  watch: { readonly over: boolean },
): Promise<void> {
  let client: pg.Client | null = null
  let seen: Turn['state'] | null = null
  let lastLookMs = nowMs()
  while (!watch.over) {
    const lookMs = nowMs()
    client ??= await connect(url)
    const state = client === null ? 'down' : await ask(client)
    const atMs = nowMs()
    if (state === 'down') {
      client?.end().catch(() => undefined)
      client = null
    }
    if (seen !== null && state !== seen) turns.push({ port, state, atMs, notBeforeMs: lastLookMs })
    seen = state
    lastLookMs = lookMs
    await measureFor(LOOK_MS)
  }
  await client?.end().catch(() => undefined)
}

async function connect(url: string): Promise<pg.Client | null> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: ANSWER_LIMIT_MS,
    query_timeout: ANSWER_LIMIT_MS,
    application_name: 'bench observer',
  })
  client.on('error', () => undefined) // the next look tells
  try {
    await client.connect()
    return client
  } catch {
    client.end().catch(() => undefined)
    return null
  }
}

async function ask(client: pg.Client): Promise<Turn['state']> {
  try {
    const query = { name: 'look', text: 'SELECT pg_is_in_recovery() AS standby' }
    const { rows } = await client.query<{ standby: boolean }>(query)
    return rows[0]?.standby === false ? 'primary' : 'standby'
  } catch {
    return 'down'
  }
}
