/**
 * Joins log lines into few writes: each write costs a turn of the thread pool, and a busy worker ends
 * thousands of connections a second. What is urgent goes out at once, with all that came before it.
 */

/** A pipe takes this much in one piece: lines of several processes on it never mix. */
export const WRITE_CHARS_MAX = 4096
/** How old a line may get before it is written. */
const HOLD_MS = 200
/** From this level of pino on (`warn`) lines are not held back. */
const URGENT_LEVEL = 40
/** Makes pino tell the level of each line. */
const METADATA = Symbol.for('pino.metadata')

export class LineBuffer {
  readonly [METADATA] = true
  /** Set by pino before each `write`. */
  lastLevel = 0
  readonly #sink: (text: string) => void
  readonly #format: (line: string) => string
  #text = ''
  #timer: NodeJS.Timeout | null = null

  constructor(sink: (text: string) => void, format: (line: string) => string = String) {
    this.#sink = sink
    this.#format = format
  }

  write(entry: string): void {
    const line = this.#format(entry)
    if (this.#text.length + line.length > WRITE_CHARS_MAX) this.flush()
    this.#text += line
    if (this.lastLevel >= URGENT_LEVEL) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), HOLD_MS).unref()
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const text = this.#text
    this.#text = ''
    if (text !== '') this.#sink(text)
  }
}
