/**
 * How a client's connection ends without losing what was said last: the answer leaves, the client
 * reads it and closes its side; only a client that does neither in time is dropped.
 */
import type { Sink, Wire } from './wire.ts'

/** How long a client may take to read what its server had said before it went away. */
const FLUSH_MS = 10 * 60_000
/** How long, after that, until it must have closed its side too. */
const LINGER_MS = 5_000

/**
 * Says `answer` behind what is already on its way and closes; `closed` is called once, at the end.
 * In a hurry the client gets what its socket takes at once, and is not waited for.
 */
export function farewell(
  wire: Wire,
  answer: Buffer | null,
  hurry: boolean,
  closed: () => void,
): void {
  wire.sink = LAST_WORD_SAID
  if (wire.destroyed) return closed()
  if (answer === null && wire.readableEnded && wire.writableLength === 0) {
    wire.destroy() // both sides have said everything: the usual end
    return closed()
  }
  if (answer === null) wire.end()
  else wire.end(answer)
  wire.resume() // closing with unread bytes would reset the connection and lose the answer
  let timer = setTimeout(() => wire.destroy(), hurry ? 0 : FLUSH_MS)
  wire.once('finish', () => {
    clearTimeout(timer)
    if (wire.readableEnded || hurry) wire.destroy()
    else timer = setTimeout(() => wire.destroy(), LINGER_MS)
  })
  wire.once('end', () => wire.destroySoon())
  wire.once('close', () => {
    clearTimeout(timer)
    closed()
  })
}

/** A client that has been told its last word: whatever it says is read and dropped. */
const LAST_WORD_SAID: Sink = {
  onChunk: () => true,
  onEnd() {},
  onDrain() {},
  onClose() {},
  onBug() {},
}
