/** Whether a PostgreSQL answers behind a port: a whole start-up, as a client does it. */
import pg from 'pg'

const LIMIT_MS = 3000

export async function accepts(port: number): Promise<boolean> {
  const client = new pg.Client({
    connectionString: `postgresql://postgres@127.0.0.1:${port}/postgres`,
    connectionTimeoutMillis: LIMIT_MS,
  })
  client.on('error', () => undefined) // the caller asks again
  try {
    await client.connect()
    return true
  } finally {
    await client.end().catch(() => undefined)
  }
}
