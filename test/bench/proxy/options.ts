/** What is measured, how long, how often. */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'

export const PARTS = ['transactions', 'connections', 'copy', 'idle-memory', 'idle-daemon'] as const
export type Part = (typeof PARTS)[number]

export type Options = {
  readonly quick: boolean
  readonly parts: readonly Part[]
  readonly rounds: number
  readonly seconds: number
  readonly workers: number
  readonly copyMb: number
  readonly idleClients: number
  readonly idleSeconds: number
  readonly main: string | null
  readonly json: boolean
  readonly keep: boolean
}

export const HELP = `npm run bench -- [options]: direct, HAProxy, PgBouncer and pgsteer under the same load
  --quick             short: shows that it works, not how fast
  --only NAME         ${PARTS.join(', ')} (may be repeated)
  --rounds N          turns of A B C D (default 5; quick 2)
  --seconds N         of each measurement (default 4; quick 1)
  --workers N         pgsteer workers, HAProxy threads, PgBouncer processes (default: cores)
  --main FILE         the pgsteer to run: main.ts or main.js of another checkout
  --json              the figures as one JSON object instead of tables
  --no-history        do not append to test/bench/history/proxy.ndjson
`

/** Null: help was asked for. Throws on wrong usage. */
export function parseOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      workers: { type: 'string' },
      main: { type: 'string' },
      json: { type: 'boolean', default: false },
      history: { type: 'boolean', default: true },
      help: { type: 'boolean', default: false },
    },
    allowNegative: true,
  })
  if (values.help) return null
  const { quick } = values
  return {
    quick,
    parts: values.only === undefined ? PARTS : values.only.map(readPart),
    rounds: readCount('rounds', values.rounds, quick ? 2 : 5),
    seconds: readCount('seconds', values.seconds, quick ? 1 : 4),
    workers: readCount('workers', values.workers, availableParallelism()),
    copyMb: quick ? 64 : 512,
    idleClients: quick ? 1000 : 5000,
    idleSeconds: quick ? 5 : 30,
    main: values.main ?? null,
    json: values.json,
    keep: values.history,
  }
}

function readPart(name: string): Part {
  const part = PARTS.find((it) => it === name)
  if (part === undefined) throw new Error(`--only ${name}: one of ${PARTS.join(', ')}`)
  return part
}

function readCount(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (!(value > 0) || (name !== 'seconds' && !Number.isInteger(value))) {
    throw new Error(`--${name} ${text}: a number above zero`)
  }
  return value
}
