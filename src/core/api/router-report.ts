/** The body of `GET /router`: the whole picture of this router for people and tools. */
import type { ClusterView, Member } from '../cluster/types.ts'
import type { WorkerListener } from '../fleet/messages.ts'
import { type Route, TARGETS, type Target } from '../routing/types.ts'
import { NOTHING_COUNTED, sumBackends, sumListeners } from './fleet-totals.ts'
import type { RouterPicture, WorkerPicture } from './types.ts'

export type RouterReport = ReturnType<typeof buildRouterReport>
export type ListenerReport = RouterReport['listeners'][number]

/** JSON-safe; field names are part of the interface and only ever added to. */
export function buildRouterReport(picture: RouterPicture) {
  const { table, view } = picture
  const sums = sumListeners(picture.totals)
  return {
    name: picture.name,
    scope: picture.scope,
    version: picture.version,
    started_at: isoTime(picture.startedAtMs),
    etcd: reportEtcd(picture),
    stale: table?.stale ?? true,
    term: table?.term ?? null,
    serial: table?.serial ?? null,
    leader: table?.leader ?? view?.leader?.member ?? null,
    members: view === null ? [] : reportMembers(view, sumBackends(picture.totals)),
    listeners: picture.listeners.map((listener) => ({
      name: listener.name,
      target: listener.target,
      mode: listener.mode,
      addresses: listener.addresses.map(formatAddress),
      route: reportRoute(table?.listeners[listener.name]?.[listener.target]),
      routes: reportRoutes(picture, listener),
      clients: sums[listener.name]?.current ?? NOTHING_COUNTED.current,
      held_clients: sums[listener.name]?.held ?? NOTHING_COUNTED.held,
    })),
    workers: picture.workers.map(reportWorker),
    control: { ...reportProcess(picture.control), uptime_s: seconds(uptimeMs(picture)) },
    pools: [],
  }
}

/** `host:port`, IPv6 in brackets, or the path of a unix socket. */
export function formatAddress(address: WorkerListener['addresses'][number]): string {
  if (address.kind === 'unix') return address.path
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`
}

function reportEtcd({ etcd, view }: RouterPicture) {
  const revision = view?.revision ?? null
  return etcd.state === 'live'
    ? { state: etcd.state, endpoint: etcd.endpoint, revision, since: null, why: null }
    : { state: etcd.state, endpoint: null, revision, since: isoTime(etcd.sinceMs), why: etcd.why }
}

function reportMembers(view: ClusterView, sessions: Readonly<Record<string, number>>) {
  return view.members.map((member) => ({
    name: member.name,
    host: member.host,
    port: member.port,
    leader: member.name === view.leader?.member,
    role: member.role,
    state: member.state,
    replication_state: member.replicationState,
    timeline: member.timeline,
    lag_bytes: lagBytes(view, member),
    sync: view.sync?.standbys.includes(member.name) ?? false,
    tags: member.tags,
    api_url: member.apiUrl,
    sessions: sessions[member.name] ?? 0,
  }))
}

function lagBytes(view: ClusterView, member: Member): number | null {
  const position = member.replayed ?? member.position
  if (member.name === view.leader?.member) return 0
  if (view.leaderPosition === null || position === null) return null
  return Math.max(0, view.leaderPosition - position)
}

function reportRoutes({ table }: RouterPicture, listener: WorkerListener) {
  const routes = table?.listeners[listener.name]
  const entries = TARGETS.map((target): [Target, RouteReport] => [
    target,
    reportRoute(routes?.[target]),
  ])
  return Object.fromEntries(entries) as Record<Target, RouteReport>
}

export type RouteReport =
  | {
      readonly kind: 'open'
      readonly backends: readonly { member: string; address: string; role: string }[]
      readonly balance: string
    }
  | { readonly kind: 'held'; readonly cause: string; readonly words: string }

function reportRoute(route: Route | undefined): RouteReport {
  if (route === undefined) {
    return { kind: 'held', cause: 'cluster-unknown', words: 'the cluster is not known yet' }
  }
  if (route.kind === 'held') return { kind: 'held', cause: route.cause, words: route.words }
  const backends = route.backends.map(({ member, host, port, role }) => ({
    member,
    address: formatAddress({ kind: 'tcp', host, port, ipv6Only: false }),
    role,
  }))
  return { kind: 'open', backends, balance: route.balance }
}

function reportWorker(worker: WorkerPicture) {
  return {
    index: worker.index,
    pid: worker.pid,
    version: worker.version,
    state: worker.state,
    connected: worker.connected,
    listening: worker.listening,
    faults: worker.faults,
    age_s: seconds(worker.ageMs),
    ...(worker.process === null ? NO_PROCESS : reportProcess(worker.process)),
  }
}

const NO_PROCESS = { rss_bytes: null, cpu_s: null, event_loop_delay_ms: null } as const

function reportProcess(process: RouterPicture['control']) {
  return {
    pid: process.pid,
    rss_bytes: process.rssBytes,
    cpu_s: seconds(process.cpuUs / 1000),
    event_loop_delay_ms: process.eventLoopDelayMs,
  }
}

function uptimeMs(picture: RouterPicture): number {
  return picture.nowMs - picture.startedAtMs
}

function seconds(ms: number): number {
  return Math.round(ms) / 1000
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
