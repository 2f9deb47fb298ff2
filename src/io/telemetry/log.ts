/**
 * The log: pino to stderr, JSON or pretty. Writes are buffered and asynchronous, so a reader of the
 * log that stalls can't stall a process that has a lease to renew or clients to serve; past
 * `BUFFER_BYTES_MAX` lines are dropped rather than memory filled. No worker thread.
 */
import pino from 'pino'

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
}

export type OpenLog = Log & {
  /** Writes what is buffered; call before the process ends. Never throws. */
  flush(): void
}

const STDERR = 2
const BUFFER_BYTES_MAX = 4 * 1024 * 1024

/** Opens the log of this process. */
export async function openLog(settings: LogSettings): Promise<OpenLog> {
  const sink = pino.destination({ dest: STDERR, sync: false, maxLength: BUFFER_BYTES_MAX })
  sink.on('error', () => undefined) // the reader went away: there is nobody to tell
  const stream = settings.format === 'pretty' ? await prettyStream(sink) : sink
  const logger = pino(
    {
      level: settings.level,
      base: settings.base,
      messageKey: 'msg',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  )
  const flush = () => {
    try {
      sink.flushSync()
    } catch {
      // A closed or full pipe: the lines are lost, the process still ends.
    }
  }
  process.on('exit', flush)
  return Object.assign(logger, { flush }) as unknown as OpenLog
}

/** Pretty for people at a terminal, JSON for everything else. */
export function defaultFormat(): LogFormat {
  return process.stderr.isTTY ? 'pretty' : 'json'
}

async function prettyStream(sink: { write(text: string): boolean }) {
  const { default: pretty } = await import('pino-pretty')
  const format = pretty.prettyFactory({
    colorize: process.stderr.isTTY === true,
    ignore: 'pid,hostname',
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l',
    messageKey: 'msg',
  })
  return { write: (line: string) => void sink.write(String(format(line))) }
}
