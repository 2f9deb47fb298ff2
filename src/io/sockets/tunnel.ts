/**
 * Bytes both ways between a client and its server: backpressure, half-close, and just enough reading
 * of the server's stream to know where its messages end, what its transactions do and whether it
 * is in recovery. The hot path is `FromClient.onChunk` and `FromServer.onChunk`.
 */
import type { LostWork } from '../../core/pgwire/errors.ts'
import { readFirstAnswer } from '../../core/pgwire/first-answer.ts'
import {
  SAW_ERROR_RESPONSE,
  SAW_HOT_STANDBY_ON,
  SAW_READY_FOR_QUERY,
  type ServerCursor,
} from '../../core/pgwire/server-stream.ts'
import { copyOf, DEAF, passOn, type Sink, type Wire } from './wire.ts'

/** A client's part of a login that is kept to be said again to another server. */
const REPLAY_BYTES_MAX = 8 * 1024

export type CutReason = 'primary-changed' | 'hot-standby' | 'draining'

export interface TunnelEvents {
  onHotStandby(): void
  /**
   * The server closed. `unexplained`: without a word, and the client had not said goodbye.
   * `replay`: what the client has said since the server's question, if that is all there was.
   */
  onServerGone(unexplained: boolean, replay: readonly Buffer[] | null): void
  onClientGone(reason: 'client-closed' | 'client-error'): void
  onBug(error: unknown): void
}

export class Tunnel {
  bytesIn = 0
  bytesOut = 0
  /** The client has said something since the server was last ready. */
  awaited = false
  saidGoodbye = false
  lastFlags = 0
  replay: Buffer[] | null
  replayBytes = 0
  over = false
  /** Where the client's stream stands while a chunk is withheld; null: where the cursor stands. */
  withheldAtBoundary: boolean | null = null
  readonly client: Wire
  readonly server: Wire
  /** Null when TLS passes through: nothing can be read. */
  readonly cursor: ServerCursor | null
  readonly events: TunnelEvents

  constructor(
    events: TunnelEvents,
    client: Wire,
    server: Wire,
    cursor: ServerCursor | null,
    replay: Buffer[] | null,
  ) {
    this.events = events
    this.client = client
    this.server = server
    this.cursor = cursor
    this.replay = replay
  }

  /** Says the server's first answer to the client, and to the server what the client said ahead. */
  open(answer: Buffer | null, ahead: readonly Buffer[]): void {
    const { client, server } = this
    const fromServer = new FromServer(this)
    client.sink = new FromClient(this)
    server.sink = fromServer
    if (answer !== null && answer.length > 0) {
      client.write(answer)
      this.bytesOut += answer.length
    }
    for (const bytes of ahead) {
      server.write(bytes)
      this.bytesIn += bytes.length
    }
    client.resume()
    server.resume()
    // The server may have closed right behind its answer, while nobody listened.
    if (server.destroyed) fromServer.onClose()
    else if (server.readableEnded) fromServer.onEnd()
    else if (this.cursor?.hotStandby === true) this.events.onHotStandby()
  }

  /** An error of our own can be said now and will be understood. */
  get speaksPlainly(): boolean {
    return this.withheldAtBoundary ?? this.cursor?.atBoundary === true
  }

  get isIdle(): boolean {
    return this.cursor?.transaction === 'idle' && !this.awaited
  }

  /** What became of the client's work if the server is gone now. */
  get lostWork(): LostWork {
    if (this.cursor?.transaction === null) return 'none' // still logging in
    if (this.awaited) return 'unknown'
    return this.cursor?.transaction === 'idle' ? 'none' : 'rolled-back'
  }

  /** Ends the tunnel's part; the client's wire is the caller's from now on. */
  destroyServer(): void {
    this.over = true
    this.server.sink = DEAF
    this.server.destroy()
  }
}

class FromClient implements Sink {
  private readonly t: Tunnel

  constructor(tunnel: Tunnel) {
    this.t = tunnel
  }

  onChunk(chunk: Buffer, n: number): boolean {
    const t = this.t
    t.bytesIn += n
    t.awaited = true
    // Terminate is the last thing a client says: type X and an empty body.
    t.saidGoodbye = n >= 5 && chunk[n - 5] === 0x58 && chunk[n - 1] === 4 && chunk[n - 2] === 0
    if (t.replay !== null) this.remember(chunk, n)
    return passOn(t.server, chunk, n)
  }

  private remember(chunk: Buffer, n: number): void {
    const t = this.t
    t.replayBytes += n
    if (t.replayBytes > REPLAY_BYTES_MAX) t.replay = null
    else t.replay!.push(copyOf(chunk, n))
  }

  /** Half-close: the server may still have answers under way. */
  onEnd(): void {
    this.t.saidGoodbye = true
    this.t.replay = null
    this.t.server.end()
  }

  onDrain(): void {
    this.t.server.resume()
  }

  onClose(failure: Error | null): void {
    if (this.t.over) return
    this.t.events.onClientGone(failure === null ? 'client-closed' : 'client-error')
  }

  onBug(error: unknown): void {
    this.t.events.onBug(error)
  }
}

class FromServer implements Sink {
  private readonly t: Tunnel

  constructor(tunnel: Tunnel) {
    this.t = tunnel
  }

  onChunk(chunk: Buffer, n: number): boolean {
    const t = this.t
    if (t.replay !== null && this.givesUpLogin(chunk, n)) return false
    t.bytesOut += n
    t.replay = null
    if (t.cursor !== null) {
      const clean = t.cursor.atBoundary
      const flags = t.cursor.advance(chunk, n)
      t.lastFlags = flags
      if ((flags & SAW_READY_FOR_QUERY) !== 0) t.awaited = false
      if ((flags & SAW_HOT_STANDBY_ON) !== 0) {
        t.withheldAtBoundary = clean // the client does not get this chunk
        t.events.onHotStandby()
        t.withheldAtBoundary = null
        if (t.over) return false
      }
    }
    return passOn(t.client, chunk, n)
  }

  /**
   * A server that is told to stop while it waits for a password says so to the client, although
   * another server could take the login over: that is heard here and not passed on.
   */
  private givesUpLogin(chunk: Buffer, n: number): boolean {
    const { t } = this
    const answer = readFirstAnswer(chunk.subarray(0, n), 0)
    if (answer.kind !== 'refused' || !answer.notYet) return false
    const { replay } = t
    t.destroyServer()
    t.events.onServerGone(true, replay)
    return true
  }

  onEnd(): void {
    this.gone()
  }

  onDrain(): void {
    this.t.client.resume()
  }

  onClose(): void {
    this.gone()
  }

  onBug(error: unknown): void {
    this.t.events.onBug(error)
  }

  private gone(): void {
    const t = this.t
    if (t.over) return
    const told = (t.lastFlags & (SAW_ERROR_RESPONSE | SAW_READY_FOR_QUERY)) === SAW_ERROR_RESPONSE
    const { replay } = t
    t.destroyServer()
    const explained = told || t.saidGoodbye
    t.events.onServerGone(!explained, explained ? null : replay)
  }
}
