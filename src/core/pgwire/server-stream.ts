/**
 * Follows the messages of a server without copying or keeping them: the hot path of a tunnel, run
 * over every byte a server sends. Says where messages end and what a router must know of them.
 *
 * A chunk costs one look at the five header bytes of each message; payloads are skipped by
 * arithmetic. Payload bytes are kept (at most `CARRY_BYTES_MAX`, and only between two chunks) when
 * one of the few messages that have to be read is split. A flag is raised by the call that sees the
 * last byte of its message. About 150 bytes per session.
 */

/** Flags returned by `advance`; names of their own because they are compared on the hot path. */
export const SAW_READY_FOR_QUERY = 1
export const SAW_HOT_STANDBY_ON = 2
export const SAW_HOT_STANDBY_OFF = 4
export const SAW_BACKEND_KEY = 8
/** A length out of 4 to 2^31-1, or a ReadyForQuery of a wrong size: no more can be followed. */
export const SERVER_MALFORMED = 16
export const SAW_ERROR_RESPONSE = 32
export const SAW_COPY_BOTH = 64
export const SAW_AUTHENTICATION_OK = 128

/** Process id and the longest secret key of protocol 3.2. */
export const CARRY_BYTES_MAX = 4 + 256

export type TransactionStatus = 'idle' | 'in-transaction' | 'failed'

const HEADER_BYTES = 5
const LENGTH_WORD_BYTES = 4
/** `#left` of a stream that can't be followed any more. */
const BROKEN = -1

const READY_FOR_QUERY = 0x5a
const PARAMETER_STATUS = 0x53
const BACKEND_KEY_DATA = 0x4b
const ERROR_RESPONSE = 0x45
const AUTHENTICATION = 0x52
const COPY_BOTH_RESPONSE = 0x57

const STATUS_IDLE = 0x49
const STATUS_IN_TRANSACTION = 0x54
const STATUS_FAILED = 0x45

const HOT_STANDBY_ON = Buffer.from('in_hot_standby\0on\0')
const HOT_STANDBY_OFF = Buffer.from('in_hot_standby\0off\0')
const NO_BYTES = Buffer.alloc(0)

/** By message type: 1 if the message has to be looked at. */
const LOOK = new Uint8Array(256)
for (const type of [
  READY_FOR_QUERY,
  PARAMETER_STATUS,
  BACKEND_KEY_DATA,
  ERROR_RESPONSE,
  AUTHENTICATION,
  COPY_BOTH_RESPONSE,
]) {
  LOOK[type] = 1
}

export class ServerCursor {
  /** Payload bytes still to come of a message that began in an earlier chunk. */
  #left = 0
  /** How many bytes of a split header are in `#type` and `#length`. */
  #headerBytes = 0
  #type = 0
  #length = 0
  /** The payload of a split message that has to be read; it is filled up to `#left` from its end. */
  #carry: Buffer | null = null
  /** Flags of the message that `#resume` ended. */
  #raised = 0
  #status = 0
  #hotStandby = 0
  #pid = 0
  /** A key of 4 bytes is kept as a number: most servers speak 3.0, and a Buffer costs 100 bytes. */
  #keyBytes = 0
  #shortKey = 0
  #longKey: Buffer | null = null

  /**
   * Goes over `chunk[0..n)`, the bytes that follow those of the last call. Returns the flags of all
   * messages that ended in it. Once malformed, every call returns `SERVER_MALFORMED`.
   */
  advance(chunk: Buffer, n: number): number {
    let at = 0
    let flags = 0
    if (this.#left !== 0 || this.#headerBytes !== 0) {
      if (this.#left === BROKEN) return SERVER_MALFORMED
      at = this.#resume(chunk, n)
      flags = this.#raised
      if ((flags & SERVER_MALFORMED) !== 0) return flags
    }
    while (n - at >= HEADER_BYTES) {
      const length =
        (chunk[at + 1]! << 24) | (chunk[at + 2]! << 16) | (chunk[at + 3]! << 8) | chunk[at + 4]!
      if (length < LENGTH_WORD_BYTES) return flags | this.#break()
      const type = chunk[at]!
      // Compared this way round because at + 1 + length can leave the range of small integers.
      if (length >= n - at) {
        this.#open(type, length)
        this.#feed(chunk, at + HEADER_BYTES, n)
        return flags
      }
      if (LOOK[type] !== 0) {
        flags |= this.#look(type, length - LENGTH_WORD_BYTES, chunk, at + HEADER_BYTES)
        if ((flags & SERVER_MALFORMED) !== 0) return flags
      }
      at += 1 + length
    }
    if (at < n) this.#readHeader(chunk, at, n)
    return flags
  }

  /** The last byte seen ended a message: an error of our own can be sent now. */
  get atBoundary(): boolean {
    return this.#left === 0 && this.#headerBytes === 0
  }

  /** From the last ReadyForQuery; null before the first. */
  get transaction(): TransactionStatus | null {
    if (this.#status === STATUS_IDLE) return 'idle'
    if (this.#status === STATUS_IN_TRANSACTION) return 'in-transaction'
    return this.#status === STATUS_FAILED ? 'failed' : null
  }

  /** The last `in_hot_standby` the server reported; null if none (PostgreSQL 13 reports none). */
  get hotStandby(): boolean | null {
    return this.#hotStandby === 0 ? null : this.#hotStandby === SAW_HOT_STANDBY_ON
  }

  /** From BackendKeyData; 0 before it. */
  get backendPid(): number {
    return this.#pid
  }

  /** From BackendKeyData, 4 to 256 bytes; null before it. */
  get backendKey(): Buffer | null {
    if (this.#keyBytes === 0) return null
    if (this.#longKey !== null) return this.#longKey
    const key = Buffer.alloc(4)
    key.writeInt32BE(this.#shortKey)
    return key
  }

  /** Goes on with what the last chunk left open; returns where the next message begins, or `n`. */
  #resume(chunk: Buffer, n: number): number {
    this.#raised = 0
    let at = 0
    if (this.#headerBytes !== 0) {
      at = this.#readHeader(chunk, 0, n)
      if (this.#headerBytes < HEADER_BYTES) return n
      this.#headerBytes = 0
      if (this.#length < LENGTH_WORD_BYTES) {
        this.#raised = this.#break()
        return n
      }
      this.#open(this.#type, this.#length)
    }
    return this.#feed(chunk, at, n)
  }

  #readHeader(chunk: Buffer, from: number, n: number): number {
    let at = from
    while (at < n && this.#headerBytes < HEADER_BYTES) {
      const byte = chunk[at++]!
      if (this.#headerBytes++ === 0) {
        this.#type = byte
        this.#length = 0
      } else {
        this.#length = (this.#length << 8) | byte
      }
    }
    return at
  }

  /** A message begins whose payload does not lie in one chunk with its header. */
  #open(type: number, length: number): void {
    const size = length - LENGTH_WORD_BYTES
    this.#type = type
    this.#length = length
    this.#left = size
    if (mustRead(type, size)) this.#carry = Buffer.allocUnsafe(size)
  }

  #feed(chunk: Buffer, at: number, n: number): number {
    const taken = Math.min(this.#left, n - at)
    const carry = this.#carry
    if (carry !== null) chunk.copy(carry, carry.length - this.#left, at, at + taken)
    this.#left -= taken
    if (this.#left === 0) {
      this.#carry = null
      this.#raised = this.#look(this.#type, this.#length - LENGTH_WORD_BYTES, carry ?? NO_BYTES, 0)
    }
    return at + taken
  }

  /** Reads a whole message; its payload of `size` bytes begins at `at`. Returns its flag. */
  #look(type: number, size: number, bytes: Buffer, at: number): number {
    switch (type) {
      case READY_FOR_QUERY:
        if (size !== 1) return this.#break()
        this.#status = bytes[at]!
        return SAW_READY_FOR_QUERY
      case PARAMETER_STATUS:
        return this.#lookAtParameter(size, bytes, at)
      case BACKEND_KEY_DATA:
        return this.#lookAtKey(size, bytes, at)
      case AUTHENTICATION:
        return size === 4 && bytes.readInt32BE(at) === 0 ? SAW_AUTHENTICATION_OK : 0
      case ERROR_RESPONSE:
        return SAW_ERROR_RESPONSE
      case COPY_BOTH_RESPONSE:
        return SAW_COPY_BOTH
      default:
        return 0
    }
  }

  #lookAtParameter(size: number, bytes: Buffer, at: number): number {
    let flag = 0
    if (holds(HOT_STANDBY_ON, size, bytes, at)) flag = SAW_HOT_STANDBY_ON
    if (holds(HOT_STANDBY_OFF, size, bytes, at)) flag = SAW_HOT_STANDBY_OFF
    if (flag !== 0) this.#hotStandby = flag
    return flag
  }

  #lookAtKey(size: number, bytes: Buffer, at: number): number {
    if (!mustRead(BACKEND_KEY_DATA, size)) return 0
    this.#pid = bytes.readInt32BE(at)
    this.#keyBytes = size - 4
    this.#shortKey = bytes.readInt32BE(at + 4)
    this.#longKey = this.#keyBytes > 4 ? Buffer.from(bytes.subarray(at + 4, at + size)) : null
    return SAW_BACKEND_KEY
  }

  #break(): number {
    this.#left = BROKEN
    this.#headerBytes = 0
    this.#carry = null
    return SERVER_MALFORMED
  }
}

/** Whether a message is read and not only counted, so that its payload has to be put together. */
function mustRead(type: number, size: number): boolean {
  switch (type) {
    case READY_FOR_QUERY:
      return size === 1
    case PARAMETER_STATUS:
      return size === HOT_STANDBY_ON.length || size === HOT_STANDBY_OFF.length
    case BACKEND_KEY_DATA:
      return size >= 8 && size <= CARRY_BYTES_MAX
    case AUTHENTICATION:
      return size === 4
    default:
      return false
  }
}

function holds(wanted: Buffer, size: number, bytes: Buffer, at: number): boolean {
  return size === wanted.length && bytes.compare(wanted, 0, size, at, at + size) === 0
}
