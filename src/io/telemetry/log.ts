/**
 * The log: pino to stderr, JSON or pretty. Writes are buffered and asynchronous, so a reader of the
 * log that stalls can't stall a process that has a lease to renew or clients to serve; past
 * `BUFFER_BYTES_MAX` lines are dropped rather than memory filled. No worker thread.
 */
import pino from 'pino'
import { LineBuffer, WRITE_CHARS_MAX } from './line-buffer.ts'

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export type LogFormat = 'json' | 'pretty'

/** What the other parts call; structurally a pino logger. */
export type Log = {
  debug(fields: object, words: string): void
  info(fields: object, words: string): void
  warn(fields: object, words: string): void
  error(fields: object, words: string): void
  fatal(fields: object, words: string): void
  level: string
  child(fields: Record<string, unknown>): Log
}

export type LogSettings = {
  readonly level: LogLevel
  readonly format: LogFormat
  /** Fields of every line, such as `{node, process}`. */
  readonly base: Readonly<Record<string, unknown>>
  /** For a process that writes many lines: below `warn` they go out a few at a time. */
  readonly buffered: boolean
}

export type OpenLog = Log & {
  /** Writes what is buffered; call before the process ends. Never throws, may wait for a reader. */
  flush(): void
  /** Calls back when the line before is written: never while nobody reads the log. */
  onWritten(done: () => void): void
}

const STDERR = 2
const BUFFER_BYTES_MAX = 4 * 1024 * 1024

/** Opens the log of this process. */
export async function openLog(settings: LogSettings): Promise<OpenLog> {
  const limits = { maxLength: BUFFER_BYTES_MAX, maxWrite: WRITE_CHARS_MAX }
  const sink = pino.destination({ dest: STDERR, sync: false, ...limits })
  sink.on('error', () => undefined) // the reader went away: there is nobody to tell
  const format = settings.format === 'pretty' ? await prettyFormat() : String
  const write = (text: string) => void sink.write(text)
  const buffer = settings.buffered ? new LineBuffer(write, format) : null
  const logger = pino(
    {
      level: settings.level,
      base: settings.base,
      messageKey: 'msg',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    buffer ?? { write: (line: string) => write(format(line)) },
  )
  const flush = () => {
    buffer?.flush()
    try {
      sink.flushSync()
    } catch {
      // A closed or full pipe: the lines are lost, the process still ends.
    }
  }
  const onWritten = (done: () => void) => {
    buffer?.flush()
    sink.once('drain', done)
  }
  process.on('exit', flush)
  return Object.assign(logger, { flush, onWritten }) as unknown as OpenLog
}

/** Pretty for people at a terminal, JSON for everything else. */
export function defaultFormat(): LogFormat {
  return process.stderr.isTTY ? 'pretty' : 'json'
}

async function prettyFormat(): Promise<(line: string) => string> {
  const { default: pretty } = await import('pino-pretty')
  const format = pretty.prettyFactory({
    colorize: process.stderr.isTTY === true,
    ignore: 'pid,hostname',
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l',
    messageKey: 'msg',
  })
  return (line) => String(format(line))
}
