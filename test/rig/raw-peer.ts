/**
 * One side of a connection spoken by hand: reads exactly what a test asks for, says exactly what it
 * is told to. For clients and servers that behave as no driver would.
 */
import net from 'node:net'
import { readError } from '../../src/core/pgwire/errors.ts'
import { frame, SSL_REQUEST, startupPacket } from '../../src/core/pgwire/messages.ts'
import { pause } from './wait.ts'

const LIMIT_MS = 10_000

export type Message = { readonly type: string; readonly payload: Buffer; readonly bytes: Buffer }

export class RawPeer {
  readonly socket: net.Socket
  /** All bytes received, also those read already. */
  received = 0
  failure: Error | null = null
  #buffer: Buffer = Buffer.alloc(0)
  #ended = false
  #closed = false
  #wake: (() => void)[] = []

  constructor(socket: net.Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.length
      this.#buffer = Buffer.concat([this.#buffer, chunk])
      this.#stir()
    })
    socket.on('end', () => {
      this.#ended = true
      this.#stir()
    })
    socket.on('error', (error) => {
      this.failure = error
    })
    socket.on('close', () => {
      this.#closed = true
      this.#stir()
    })
  }

  get isOver(): boolean {
    return this.#ended || this.#closed
  }

  get unread(): number {
    return this.#buffer.length
  }

  write(bytes: Buffer | string): void {
    this.socket.write(bytes)
  }

  /** Exactly `count` bytes; rejects when the connection ends before, or time runs out. */
  async read(count: number): Promise<Buffer> {
    await this.#until(() => this.#buffer.length >= count, `${count} bytes`)
    const bytes = this.#buffer.subarray(0, count)
    this.#buffer = this.#buffer.subarray(count)
    return bytes
  }

  async message(): Promise<Message> {
    const head = await this.read(5)
    const payload = await this.read(head.readUInt32BE(1) - 4)
    return {
      type: String.fromCharCode(head[0]!),
      payload,
      bytes: Buffer.concat([head, payload]),
    }
  }

  /** A packet without a type byte. */
  async packet(): Promise<Buffer> {
    const head = await this.read(4)
    return Buffer.concat([head, await this.read(head.readUInt32BE(0) - 4)])
  }

  /** The next messages up to the one of this type. */
  async messagesUntil(type: string): Promise<Message[]> {
    const all: Message[] = []
    do all.push(await this.message())
    while (all.at(-1)!.type !== type)
    return all
  }

  /** `SQLSTATE text` of an ErrorResponse that must come now. */
  async error(): Promise<string> {
    const { type, payload } = await this.message()
    if (type !== 'E') throw new Error(`message ${type} where an error was expected`)
    const { severity, sqlstate, message } = readError(payload)
    return `${severity} ${sqlstate} ${message}`
  }

  /** Waits for the other side's end; answers what came before it. */
  async end(limitMs = LIMIT_MS): Promise<Buffer> {
    await this.#until(() => this.isOver, 'end of the connection', limitMs)
    const rest = this.#buffer
    this.#buffer = Buffer.alloc(0)
    return rest
  }

  /** Resets the connection instead of closing it. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  close(): void {
    this.socket.destroy()
  }

  async #until(condition: () => boolean, what: string, limitMs = LIMIT_MS): Promise<void> {
    const deadline = performance.now() + limitMs
    while (!condition()) {
      if (this.isOver)
        throw new Error(`the connection ended before ${what}`, { cause: this.failure })
      const left = deadline - performance.now()
      if (left <= 0) throw new Error(`no ${what} within ${limitMs} ms`)
      const timer = new AbortController()
      const woken = new Promise<void>((resolve) => this.#wake.push(resolve))
      const late = pause(left, undefined, { signal: timer.signal }).catch(() => undefined)
      await Promise.race([woken, late])
      timer.abort()
    }
  }

  #stir(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

export type Place = { readonly host?: string; readonly port: number } | { readonly path: string }

/** Connects; `paused`: nothing is read until `socket.resume()`. */
const connected = new Set<RawPeer>()

/** Closes whatever a test that failed has left open. */
export function closeRawPeers(): void {
  for (const peer of connected) peer.close()
}

export async function connectRaw(place: Place, options: { paused?: boolean } = {}) {
  const target = 'path' in place ? place : { host: place.host ?? '127.0.0.1', port: place.port }
  const socket = net.connect({ ...target, allowHalfOpen: true, noDelay: true })
  const peer = new RawPeer(socket)
  connected.add(peer)
  socket.once('close', () => connected.delete(peer))
  if (options.paused === true) socket.pause()
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  return peer
}

/** Connects and sends a startup packet. */
export async function loginRaw(place: Place, parameters: Readonly<Record<string, string>> = {}) {
  const peer = await connectRaw(place)
  peer.write(hello(parameters))
  return peer
}

export function hello(parameters: Readonly<Record<string, string>> = {}): Buffer {
  return startupPacket(Object.entries({ user: 'app', database: 'db', ...parameters }))
}

export const TERMINATE = frame('X', Buffer.alloc(0))
export { SSL_REQUEST }

export function query(sql: string): Buffer {
  return frame('Q', Buffer.from(`${sql}\0`))
}
