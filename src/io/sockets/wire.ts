/**
 * A socket that reads without allocating. All plain sockets of a worker read into one shared buffer;
 * what must outlive the callback is copied. A stream that keeps filling the shared buffer borrows a
 * large private one, so bulk data (COPY, base backups) is passed on without a copy.
 *
 * Memory: an idle wire owns no buffer at all. A wire that is read in bulk owns `BULK_BYTES`; at most
 * `PENDING_BYTES_MAX` plus one chunk wait for a slow receiver.
 */
import net from 'node:net'
import type { TLSSocket } from 'node:tls'

const SHARED_BYTES = 32 * 1024
const BULK_BYTES = 128 * 1024
const BULK_SPARES_MAX = 16
/** Chunks of this size and more are passed on without a copy; needs `writableHighWaterMark` ≤ it. */
const BULK_CHUNK_BYTES = 64 * 1024
/** So many smaller reads in a row give the bulk buffer back. */
const BULK_QUIET_READS = 4
/** Once so many bytes wait for a slow receiver its sender is not read any more. */
export const PENDING_BYTES_MAX = 64 * 1024

// Small chunks are copied into slabs of this size, so that a copy is a memcpy and not an allocation.
Buffer.poolSize = 256 * 1024

/** What happens on a wire goes to its sink; the sink changes with the phase of the connection. */
export interface Sink {
  /** `chunk[0..n)` is valid during the call only: pass it on or copy it. False: stop reading. */
  onChunk(chunk: Buffer, n: number): boolean
  /** The other side will send no more. */
  onEnd(): void
  /** Everything written has left; called only after `PENDING_BYTES_MAX` was reached. */
  onDrain(): void
  /** Nothing comes after this. `failure` is what broke the connection, if anything did. */
  onClose(failure: Error | null): void
  /** One of the above threw: our own fault. It must cost this connection and no other. */
  onBug(error: unknown): void
}

/** Named loosely on purpose: a plain wire and a TLS wire are used alike. */
export type Wire = PlainWire | (TLSSocket & { sink: Sink; failure: Error | null })

export const DEAF: Sink = {
  onChunk: () => true,
  onEnd() {},
  onDrain() {},
  onClose() {},
  onBug() {},
}

/** A plain connection: accepted (`handle` given) or to be connected. Starts paused. */
export class PlainWire extends net.Socket {
  sink: Sink = DEAF
  failure: Error | null = null
  private bulk: Buffer | null = null
  /** Takes turns with `bulk`: one is read into while the other is still being written. */
  private otherBulk: Buffer | null = null
  private quiet = 0

  constructor(options: { handle?: unknown; pauseOnCreate?: boolean }) {
    super({
      ...options,
      allowHalfOpen: true,
      writableHighWaterMark: PENDING_BYTES_MAX,
      onread: ONREAD,
    } as net.SocketConstructorOpts)
    attach(this)
  }

  /** Called for each read, with `n` bytes in `buffer`; false stops reading. */
  readInto(n: number, buffer: Buffer): boolean {
    const more = offer(this, buffer, n)
    nextBuffer = undefined // keep reading into the same, unless
    if (this.bulk !== null) this.settle(n)
    else if (n === SHARED_BYTES) this.borrow()
    return more
  }

  private borrow(): void {
    this.bulk = bulkSpares.pop() ?? Buffer.allocUnsafeSlow(BULK_BYTES)
    this.otherBulk = bulkSpares.pop() ?? Buffer.allocUnsafeSlow(BULK_BYTES)
    this.quiet = 0
    nextBuffer = this.bulk
  }

  /** After a bulk chunk the buffers change turns; small chunks were copied and leave theirs free. */
  private settle(n: number): void {
    if (n >= BULK_CHUNK_BYTES) {
      this.quiet = 0
      nextBuffer = this.otherBulk!
      this.otherBulk = this.bulk
      this.bulk = nextBuffer
    } else if (++this.quiet >= BULK_QUIET_READS) this.leaveBulk()
  }

  /** The other buffer may still be on its way out: that one goes to the garbage collector. */
  private leaveBulk(): void {
    if (bulkSpares.length < BULK_SPARES_MAX) bulkSpares.push(this.bulk!)
    this.bulk = null
    this.otherBulk = null
    nextBuffer = shared
  }
}

/** Makes a TLS socket look like any other wire. It owns its chunks and starts paused. */
export function tlsWire(socket: TLSSocket): Wire {
  const wire = Object.assign(socket, { sink: DEAF, failure: null }) as Wire
  attach(wire)
  socket.on('data', onData)
  socket.pause()
  return wire
}

/**
 * Passes `chunk[0..n)` on to `to`. False when the receiver is behind: stop reading until `onDrain`.
 * A chunk of TLS is its own. A small one of the shared buffer is copied, because that is read into
 * again at once. A bulk chunk is not: it is
 * at least as long as the receiver's high-water mark, so `onDrain` comes when all of it has left; until
 * then its sender may fill its other buffer, once.
 */
export function passOn(to: Wire, chunk: Buffer, n: number): boolean {
  if (chunk.length === BULK_BYTES && n >= BULK_CHUNK_BYTES) {
    to.write(chunk.subarray(0, n))
    return to.writableLength <= n // what came before it is gone, and with it the other buffer free
  }
  const isOwned = chunk.length === n && chunk !== shared && chunk.length !== BULK_BYTES
  to.write(isOwned ? chunk : copyOf(chunk, n))
  return to.writableLength < PENDING_BYTES_MAX
}

/** A copy that outlives the callback in which `chunk` is valid. */
export function copyOf(chunk: Buffer, n: number): Buffer {
  const copy = Buffer.allocUnsafe(n)
  chunk.copy(copy, 0, 0, n)
  return copy
}

const shared = Buffer.allocUnsafeSlow(SHARED_BYTES)
const bulkSpares: Buffer[] = []
/** What Node is told to read into next: nothing new, unless a wire changes its buffer. */
let nextBuffer: Buffer | undefined = shared

// Node calls these two right after each other, the callback with the socket as `this`: one pair of
// functions serves all sockets and no closure is made for a connection.
const ONREAD = {
  buffer: (): Buffer | undefined => {
    const next = nextBuffer
    nextBuffer = shared
    return next
  },
  callback(this: PlainWire, n: number, buffer: Buffer): boolean {
    return this.readInto(n, buffer)
  },
}

function attach(wire: Wire): void {
  wire.on('end', onEnd)
  wire.on('drain', onDrain)
  wire.on('error', onError)
  wire.on('close', onClose)
}

/** The last line of defence: whatever throws below ends one connection, not the worker. */
function offer(wire: Wire, chunk: Buffer, n: number): boolean {
  try {
    return wire.sink.onChunk(chunk, n)
  } catch (error) {
    return fault(wire, error)
  }
}

function fault(wire: Wire, error: unknown): false {
  const { sink } = wire
  wire.sink = DEAF
  wire.destroy()
  sink.onBug(error)
  return false
}

function onData(this: Wire, chunk: Buffer): void {
  if (!offer(this, chunk, chunk.length)) this.pause()
}

function onEnd(this: Wire): void {
  try {
    this.sink.onEnd()
  } catch (error) {
    fault(this, error)
  }
}

function onDrain(this: Wire): void {
  try {
    this.sink.onDrain()
  } catch (error) {
    fault(this, error)
  }
}

function onError(this: Wire, error: Error): void {
  this.failure ??= error
}

function onClose(this: Wire): void {
  try {
    this.sink.onClose(this.failure)
  } catch (error) {
    fault(this, error)
  }
}
