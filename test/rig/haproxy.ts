/** HAProxy in front of Patroni the usual way: `GET /primary` of each member decides. */
import { createConnection } from 'node:net'
import { join } from 'node:path'
import type { Child } from '../../src/app/demo/keeper.ts'
import { whichProgram } from '../../src/app/demo/machine.ts'
import type { Rig } from './processes.ts'
import { until } from './wait.ts'

export type HaproxyServer = {
  readonly name: string
  readonly port: number
  /** Port of Patroni's REST API. */
  readonly checkPort: number
}
export type HaproxyOptions = {
  readonly name?: string
  readonly servers: readonly HaproxyServer[]
  /** Health path: `/primary` or `/replica`; null: no checks, every server gets traffic. */
  readonly check: string | null
  /** As HAProxy writes it: `2s`, `500ms`. */
  readonly inter?: string
  readonly fall?: number
  readonly rise?: number
  readonly threads?: number
  readonly maxConnections?: number
}

export type Haproxy = { readonly port: number; readonly config: string; readonly child: Child }

/** The usual values unless told otherwise: every 2 s, fall 3, rise 2. */
export function haproxyConfig(port: number, options: HaproxyOptions): string {
  const { check, inter = '2s', fall = 3, rise = 2, threads = 1, maxConnections = 6000 } = options
  const checks =
    check === null
      ? []
      : [
          `  option httpchk OPTIONS ${check}`,
          '  http-check expect status 200',
          `  default-server inter ${inter} fall ${fall} rise ${rise} on-marked-down shutdown-sessions`,
        ]
  const servers = options.servers.map(({ name, port: to, checkPort }) => {
    const checked = check === null ? '' : ` check port ${checkPort}`
    return `  server ${name} 127.0.0.1:${to} maxconn ${maxConnections}${checked}`
  })
  return [
    'global',
    `  maxconn ${maxConnections}`,
    `  nbthread ${threads}`,
    'defaults',
    '  mode tcp',
    '  retries 2',
    '  timeout connect 4s',
    '  timeout client 30m',
    '  timeout server 30m',
    '  timeout check 2s',
    'listen postgres',
    `  bind 127.0.0.1:${port}`,
    ...checks,
    ...servers,
    '',
  ].join('\n')
}

/** Starts it in the foreground; returns when the port accepts. */
export async function startHaproxy(rig: Rig, options: HaproxyOptions): Promise<Haproxy> {
  const program = whichProgram('haproxy')
  if (program === null) throw new Error('haproxy is not installed: npm run setup')
  const port = rig.takePorts(1)
  const name = options.name ?? `haproxy-${port}`
  const config = join(rig.dir, `${name}.cfg`)
  const log = join(rig.dir, `${name}.log`)
  rig.keeper.writeFile(config, haproxyConfig(port, options), rig.account)
  const child = rig.start(program, ['-db', '-f', config], { log, account: rig.account })
  await until(() => child.isAlive() && accepts(port), {
    limitMs: 5000,
    what: `HAProxy on ${port} (see ${log})`,
  })
  return { port, config, child }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1')
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
