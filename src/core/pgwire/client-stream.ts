/**
 * Follows the messages of a client after its startup packet, without copying or keeping them: only
 * whether it is at a message boundary and whether it said goodbye. Same method as `ServerCursor`.
 */

/** Flags returned by `advance`. */
export const SAW_TERMINATE = 1
/** A length out of 4 to 2^31-1: no more can be followed. */
export const CLIENT_MALFORMED = 2

const HEADER_BYTES = 5
const LENGTH_WORD_BYTES = 4
const TERMINATE = 0x58
/** `#left` of a stream that can't be followed any more. */
const BROKEN = -1

export class ClientCursor {
  /** Payload bytes still to come of a message that began in an earlier chunk. */
  #left = 0
  /** How many bytes of a split header are in `#type` and `#length`. */
  #headerBytes = 0
  #type = 0
  #length = 0

  /**
   * Goes over `chunk[0..n)`, the bytes that follow those of the last call. A flag is raised by the
   * call that sees the last byte of the header. Once malformed, every call returns
   * `CLIENT_MALFORMED`.
   */
  advance(chunk: Buffer, n: number): number {
    let flags = 0
    let at = 0
    if (this.#left === BROKEN) return CLIENT_MALFORMED
    if (this.#headerBytes !== 0) {
      at = this.#readHeader(chunk, 0, n)
      if (this.#headerBytes !== 0) return 0
      if (this.#length < LENGTH_WORD_BYTES) return this.#break(0)
      this.#left = this.#length - LENGTH_WORD_BYTES
      if (this.#type === TERMINATE) flags = SAW_TERMINATE
    }
    if (this.#left > n - at) {
      this.#left -= n - at
      return flags
    }
    at += this.#left
    this.#left = 0
    while (n - at >= HEADER_BYTES) {
      const length =
        (chunk[at + 1]! << 24) | (chunk[at + 2]! << 16) | (chunk[at + 3]! << 8) | chunk[at + 4]!
      if (length < LENGTH_WORD_BYTES) return this.#break(flags)
      if (chunk[at] === TERMINATE) flags |= SAW_TERMINATE
      // Compared this way round because at + 1 + length can leave the range of small integers.
      if (length >= n - at) {
        this.#left = length - (n - at - 1)
        return flags
      }
      at += 1 + length
    }
    if (at < n) this.#readHeader(chunk, at, n)
    return flags
  }

  /** The last byte seen ended a message. */
  get atBoundary(): boolean {
    return this.#left === 0 && this.#headerBytes === 0
  }

  /** Returns where the payload begins; `#headerBytes` is 0 again once the header is complete. */
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
    if (this.#headerBytes === HEADER_BYTES) this.#headerBytes = 0
    return at
  }

  #break(flags: number): number {
    this.#left = BROKEN
    return flags | CLIENT_MALFORMED
  }
}
