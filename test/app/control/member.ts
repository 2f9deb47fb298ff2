/** A cluster member without a PostgreSQL: its keys in etcd and its API. */
import { createServer, type Server } from 'node:http'
import type { TestContext } from 'node:test'

/** A member's Patroni API, by what its PostgreSQL is. */
export class Member {
  role: 'primary' | 'replica' = 'replica'
  readonly #server: Server = createServer((_request, response) => {
    const standby = { received_location: 5, replayed_location: 5 }
    const xlog = this.role === 'primary' ? { location: 5 } : standby
    response.end(JSON.stringify({ state: 'running', role: this.role, xlog }))
  })
  readonly #port: number

  constructor(t: TestContext, port: number) {
    this.#port = port
    this.#server.listen(port, '127.0.0.1')
    t.after(() => void this.#server.close())
  }

  key(): string {
    const { role } = this
    return JSON.stringify({
      conn_url: 'postgres://127.0.0.1:1/postgres',
      api_url: `http://127.0.0.1:${this.#port}/patroni`,
      ...{ state: 'running', role, xlog_location: 5, timeline: 1, version: '4.1.4' },
    })
  }

  /** From now on it answers nothing. */
  silence(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}
