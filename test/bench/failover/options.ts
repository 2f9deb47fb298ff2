/** Which failovers, how many, against which HAProxy. */
import { parseArgs } from 'node:util'

export const KINDS = ['switchover', 'postmaster', 'node'] as const
export type Kind = (typeof KINDS)[number]

export const HAPROXY_CHECKS = {
  tuned: { inter: '500ms', fall: 1, rise: 1 },
  usual: { inter: '2s', fall: 3, rise: 2 },
} as const
export type HaproxyChecks = keyof typeof HAPROXY_CHECKS

export type Options = {
  readonly quick: boolean
  readonly kinds: readonly Kind[]
  readonly rounds: number
  readonly writers: number
  readonly paceMs: number
  readonly haproxy: HaproxyChecks
  readonly main: string | null
  readonly json: boolean
  readonly keep: boolean
}

export const HELP = `npm run bench:failover -- [options]: HAProxy and pgsteer through the same failovers
  --quick             one round of each kind
  --kinds LIST        ${KINDS.join(',')} (default all): a planned switchover, kill -9 of the
                      postmaster, kill -9 of Patroni and PostgreSQL at once
  --rounds N          of each kind (default 3)
  --writers N         in each fleet (default 8), beside a prober with a new connection each time
  --pace MS           pause of a writer between two writes (default 10)
  --haproxy WHICH     tuned: checks every 500 ms, fall 1, rise 1 (default); usual: 2 s, 3, 2
  --main FILE         the pgsteer to run: main.ts or main.js of another checkout
  --json              the figures as one JSON object instead of tables
  --no-history        do not append to test/bench/history/failover.ndjson
`

/** Null: help was asked for. Throws on wrong usage. */
export function parseOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      kinds: { type: 'string', default: KINDS.join(',') },
      rounds: { type: 'string' },
      writers: { type: 'string', default: '8' },
      pace: { type: 'string', default: '10' },
      haproxy: { type: 'string', default: 'tuned' },
      main: { type: 'string' },
      json: { type: 'boolean', default: false },
      history: { type: 'boolean', default: true },
      help: { type: 'boolean', default: false },
    },
    allowNegative: true,
  })
  if (values.help) return null
  return {
    quick: values.quick,
    kinds: values.kinds.split(',').map((name) => oneOf('kinds', KINDS, name)),
    rounds: count('rounds', values.rounds ?? (values.quick ? '1' : '3')),
    writers: count('writers', values.writers),
    paceMs: count('pace', values.pace),
    haproxy: oneOf('haproxy', Object.keys(HAPROXY_CHECKS) as HaproxyChecks[], values.haproxy),
    main: values.main ?? null,
    json: values.json,
    keep: values.history,
  }
}

function oneOf<T extends string>(flag: string, allowed: readonly T[], word: string): T {
  const found = allowed.find((it) => it === word.trim())
  if (found === undefined) throw new Error(`--${flag} ${word}: one of ${allowed.join(', ')}`)
  return found
}

function count(flag: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${flag} ${text}: a whole number`)
  return value
}
