/**
 * Real etcd clusters for tests: started on given ports, killed, paused and restarted by member.
 * Clean-up is certain: `stop`, else at the end of the process, else (process killed) by the kernel,
 * because every etcd is started under `setpriv --pdeathsig KILL`.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)
const READY_LIMIT_MS = 20_000
const POLL_MS = 50
const CTL_LIMIT_MS = 10_000
const LOG_CHARS_KEPT = 4000

export type EtcdTls = {
  /** Paths of PEM files. The server certificate must name 127.0.0.1. */
  readonly ca: string
  readonly serverCert: string
  readonly serverKey: string
  /** What `ctl` shows; null if the server asks for none. */
  readonly client: { readonly cert: string; readonly key: string } | null
}

export type EtcdOptions = {
  /** First of 2 ports per member: client ports are even from here, peer ports odd. */
  readonly ports: number
  /** Default 1. */
  readonly members?: number
  readonly tls?: EtcdTls
  /** Creates this user with role root and switches authentication on. The user must be `root`. */
  readonly auth?: { readonly user: 'root'; readonly password: string }
  /** More etcd flags, such as `['--auth-token-ttl', '2']`. */
  readonly args?: readonly string[]
}

export type EtcdRig = {
  /** `host:port` per member, also of dead ones. */
  readonly endpoints: readonly string[]
  /** One directory with everything; removed by `stop`. */
  readonly dir: string
  pid(member: number): number | null
  /** `etcdctl` against the members given, else all that live and are not paused; its output. */
  ctl(args: readonly string[], members?: readonly number[]): Promise<string>
  /** Tries until it succeeds, for instance through an election. */
  put(key: string, value: string): Promise<void>
  /** As `put`. */
  del(key: string): Promise<void>
  /** Revision of the store by a linearizable read. */
  revision(): Promise<number>
  /** Index of the member that leads etcd. */
  leader(): Promise<number>
  /** SIGKILL; resolves when it is gone. */
  kill(member: number): Promise<void>
  /** Starts a killed member again; `empty` forgets its data (a wiped store if it is the only one). */
  start(member: number, how?: 'with-data' | 'empty'): Promise<void>
  pause(member: number): void
  resume(member: number): void
  stop(): Promise<void>
}

type Member = {
  readonly name: string
  readonly dataDir: string
  readonly client: string
  readonly peer: string
  child: ChildProcess | null
  paused: boolean
  log: string
}

/** Starts the cluster and waits until it takes writes. On failure everything is cleaned up. */
export async function startEtcd(options: EtcdOptions): Promise<EtcdRig> {
  const dir = mkdtempSync(join(tmpdir(), 'pgsteer-etcd-'))
  const count = options.members ?? 1
  const members = Array.from({ length: count }, (_, at) => newMember(dir, at, options))
  const removeAll = () => {
    for (const { child } of members) child?.kill('SIGKILL')
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
  }
  process.once('exit', removeAll)
  const control: Control = { members, options, login: [] }
  const stop = async () => {
    await Promise.all(members.map(kill))
    process.removeListener('exit', removeAll)
    removeAll()
  }
  try {
    for (const member of members) launch(control, member)
    await serving(control)
    if (options.auth !== undefined) await switchAuthOn(control, options.auth)
  } catch (error) {
    await stop()
    throw error
  }
  return { ...createRig(control), endpoints: members.map((m) => m.client), dir, stop }
}

/** What every step needs; `login` grows once authentication is on. */
type Control = {
  readonly members: readonly Member[]
  readonly options: EtcdOptions
  login: readonly string[]
}

function createRig(control: Control): Omit<EtcdRig, 'endpoints' | 'dir' | 'stop'> {
  const { members } = control
  return {
    pid: (at) => members[at]!.child?.pid ?? null,
    ctl: (args, only) => ctl(control, args, only),
    put: (key, value) => insist(control, ['put', '--', key, value]),
    del: (key) => insist(control, ['del', '--', key]),
    async revision() {
      return JSON.parse(await ctl(control, ['get', 'revision', '-w', 'json'])).header.revision
    },
    async leader() {
      const answer = await ctl(control, ['endpoint', 'status', '-w', 'json'])
      const line = (JSON.parse(answer) as StatusLine[]).find(
        ({ Status }) => Status.leader === Status.header.member_id,
      )
      return members.findIndex((m) => line?.Endpoint.endsWith(m.client))
    },
    kill: (at) => kill(members[at]!),
    async start(at, how = 'with-data') {
      const member = members[at]!
      if (how === 'empty') rmSync(member.dataDir, { recursive: true, force: true })
      launch(control, member)
      await serving(control, [at])
    },
    pause(at) {
      members[at]!.paused = members[at]!.child?.kill('SIGSTOP') ?? false
    },
    resume(at) {
      members[at]!.child?.kill('SIGCONT')
      members[at]!.paused = false
    },
  }
}

function launch(control: Control, member: Member): void {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'etcd', ...etcdFlags(control, member)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  member.child = child
  member.paused = false
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    member.log = (member.log + text).slice(-LOG_CHARS_KEPT)
  })
  child.once('exit', () => {
    if (member.child === child) member.child = null
  })
}

async function kill({ child }: Member): Promise<void> {
  if (child === null) return
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGKILL')
  await gone
}

function etcdFlags({ members, options }: Control, member: Member): readonly string[] {
  const scheme = schemeOf(options)
  return [
    ...['--name', member.name, '--data-dir', member.dataDir, '--logger', 'zap'],
    ...['--log-level', 'error', '--log-outputs', 'stderr'],
    ...['--listen-client-urls', `${scheme}://${member.client}`],
    ...['--advertise-client-urls', `${scheme}://${member.client}`],
    ...['--listen-peer-urls', `http://${member.peer}`],
    ...['--initial-advertise-peer-urls', `http://${member.peer}`],
    ...['--initial-cluster', members.map((m) => `${m.name}=http://${m.peer}`).join(',')],
    ...['--initial-cluster-token', `ports-${options.ports}`],
    ...serverTlsFlags(options.tls),
    ...(options.args ?? []),
  ]
}

async function ctl(
  { members, options, login }: Control,
  args: readonly string[],
  only?: readonly number[],
): Promise<string> {
  const asked = members.filter((m, at) =>
    only ? only.includes(at) : m.child !== null && !m.paused,
  )
  const endpoints = asked.map((m) => `${schemeOf(options)}://${m.client}`).join(',')
  const flags = ['--endpoints', endpoints, ...tlsFlags(options.tls), ...login]
  const { stdout } = await run('etcdctl', [...flags, ...args], {
    env: { PATH: process.env['PATH'], ETCDCTL_API: '3' },
    timeout: CTL_LIMIT_MS,
  })
  return stdout
}

function insist(control: Control, args: readonly string[]): Promise<void> {
  const attempt = () => succeeds(ctl(control, ['--command-timeout', '1s', ...args]))
  return waitUntil(attempt, `etcdctl ${args.join(' ')} does not succeed`)
}

function serving(control: Control, only?: readonly number[]): Promise<void> {
  return waitUntil(() => {
    const dead = control.members.find((m, at) => m.child === null && (!only || only.includes(at)))
    if (dead !== undefined) throw new Error(`etcd ${dead.name} ended: ${dead.log}`)
    return succeeds(ctl(control, ['--command-timeout', '1s', 'get', 'ready'], only))
  }, 'etcd does not serve')
}

async function switchAuthOn(control: Control, auth: NonNullable<EtcdOptions['auth']>) {
  await ctl(control, ['user', 'add', `${auth.user}:${auth.password}`])
  await ctl(control, ['user', 'grant-role', auth.user, 'root'])
  await ctl(control, ['auth', 'enable'])
  control.login = ['--user', `${auth.user}:${auth.password}`]
}

function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  )
}

function schemeOf(options: EtcdOptions): string {
  return options.tls === undefined ? 'http' : 'https'
}

type StatusLine = {
  readonly Endpoint: string
  readonly Status: { readonly leader: number; readonly header: { readonly member_id: number } }
}

/** Polls until `isDone`; throws with `what` after `limitMs`. */
export async function waitUntil(
  isDone: () => boolean | Promise<boolean>,
  what: string,
  limitMs = READY_LIMIT_MS,
): Promise<void> {
  const deadline = performance.now() + limitMs
  while (!(await isDone())) {
    if (performance.now() > deadline) throw new Error(`${what} within ${limitMs} ms`)
    await sleep(Math.min(POLL_MS, limitMs / 20))
  }
}

function newMember(dir: string, at: number, options: EtcdOptions): Member {
  const port = options.ports + 2 * at
  const name = `m${at}`
  return {
    name,
    dataDir: join(dir, name),
    client: `127.0.0.1:${port}`,
    peer: `127.0.0.1:${port + 1}`,
    child: null,
    paused: false,
    log: '',
  }
}

function serverTlsFlags(tls: EtcdTls | undefined): readonly string[] {
  if (tls === undefined) return []
  const flags = ['--cert-file', tls.serverCert, '--key-file', tls.serverKey]
  return tls.client === null ? flags : [...flags, '--client-cert-auth', '--trusted-ca-file', tls.ca]
}

function tlsFlags(tls: EtcdTls | undefined): readonly string[] {
  if (tls === undefined) return []
  const flags = ['--cacert', tls.ca]
  return tls.client === null
    ? flags
    : [...flags, '--cert', tls.client.cert, '--key', tls.client.key]
}
