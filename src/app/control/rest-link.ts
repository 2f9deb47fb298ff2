/** The REST server, replaced when a reload changes its address or the way it speaks. */

import type { Clock } from '../../io/clock/clock.ts'
import {
  openRestServer,
  type RestApi,
  type RestServer,
  type RestSettings,
} from '../../io/http/rest-server.ts'

export class RestLink {
  readonly #api: RestApi
  readonly #clock: Clock
  #settings: RestSettings | null = null
  #server: RestServer | null = null

  constructor(api: RestApi, clock: Clock) {
    this.#api = api
    this.#clock = clock
  }

  /**
   * Listens, trying for `patienceMs` (a predecessor may still hold the port). Rejects with Node's
   * error. Null settings: no REST.
   */
  async open(settings: RestSettings | null, patienceMs: number): Promise<void> {
    const untilMs = this.#clock.nowMs() + patienceMs
    for (;;) {
      try {
        this.#server = settings === null ? null : await openRestServer(settings, this.#api)
        this.#settings = settings
        return
      } catch (error) {
        if (this.#clock.nowMs() >= untilMs) throw error
        await new Promise<void>((resolve) => void this.#clock.after(RETRY_MS, resolve))
      }
    }
  }

  /** Takes new settings; rejects when they can't be had, the old server then stays or returns. */
  async change(settings: RestSettings | null): Promise<void> {
    const before = this.#settings
    if (JSON.stringify(settings) === JSON.stringify(before)) return
    if (onlyCertificates(before, settings)) {
      this.#server?.renew(settings!.tls!)
      this.#settings = settings
      return
    }
    const old = this.#server
    if (settings === null || !sameAddress(before, settings)) {
      await this.open(settings, 0)
      await old?.close()
      return
    }
    await old?.close()
    try {
      await this.open(settings, 0)
    } catch (error) {
      await this.open(before, RETURN_MS)
      throw error
    }
  }

  async close(): Promise<void> {
    const server = this.#server
    this.#server = null
    await server?.close()
  }
}

const RETRY_MS = 50
const RETURN_MS = 1000

function sameAddress(a: RestSettings | null, b: RestSettings): boolean {
  return a !== null && a.host === b.host && a.port === b.port
}

/** New PEM texts need no new socket; who must show a certificate does. */
function onlyCertificates(a: RestSettings | null, b: RestSettings | null): boolean {
  if (a?.tls == null || b?.tls == null) return false
  const plain = (it: RestSettings) =>
    JSON.stringify({ ...it, tls: { verify: it.tls?.verifyClient, ciphers: it.tls?.ciphers } })
  return plain(a) === plain(b)
}
