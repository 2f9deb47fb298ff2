/** What `pgsteer routes` and `pgsteer clients` print for people. */
import type { ClientInfo } from '../fleet/messages.ts'
import type { RouteReport, RouterReport } from './router-report.ts'
import { formatTable } from './text-table.ts'

/** The whole report: a headline, listeners, members, and why anything is held. */
export function formatRoutes(report: RouterReport): string {
  const lines = heldLines(report) + faultLines(report)
  const sections = [headline(report), listenerTable(report), lines, memberTable(report)]
  return sections.filter((it) => it !== '').join('\n')
}

export function formatClients(clients: readonly ClientInfo[]): string {
  const headers = ['client', 'user', 'database', 'listener', 'target', 'state', 'backend', 'tx']
  const rows = clients.map((it) => [
    ...[it.client, it.user, it.database, it.listener, it.target, it.state, it.backend],
    ...[it.transaction, seconds(it.sinceMs), it.bytesIn, it.bytesOut],
  ])
  return formatTable([...headers, 'age_s', 'bytes_in', 'bytes_out'], rows)
}

function headline(report: RouterReport): string {
  const { etcd, workers } = report
  const serving = workers.filter((it) => it.state === 'serving' && it.connected).length
  const etcdWords = etcd.state === 'live' ? 'live' : `lost since ${etcd.since} (${etcd.why})`
  const stale = report.stale ? ', routes may be old' : ''
  return [
    `${report.scope}/${report.name}  pgsteer ${report.version}\n`,
    `etcd ${etcdWords}${stale}, leader ${report.leader ?? 'none'}, workers ${serving}\n`,
  ].join('')
}

function listenerTable(report: RouterReport): string {
  const rows = report.listeners.map((it) => [
    ...[it.name, it.addresses.join(' '), it.target, it.mode],
    ...[routeWords(it.route), it.clients, it.held_clients],
  ])
  return formatTable(['listener', 'address', 'target', 'mode', 'route', 'clients', 'held'], rows)
}

function routeWords(route: RouteReport): string {
  if (route.kind === 'held') return `held: ${route.cause}`
  return route.backends.map((it) => `${it.member} ${it.address}`).join(', ')
}

function heldLines(report: RouterReport): string {
  return report.listeners
    .map((it) => (it.route.kind === 'held' ? `${it.name} is held: ${it.route.words}\n` : ''))
    .join('')
}

function faultLines(report: RouterReport): string {
  return report.workers
    .flatMap((it) => it.faults.map((f) => `${f.listener}, worker ${it.index}: ${f.what}\n`))
    .join('')
}

function memberTable(report: RouterReport): string {
  if (report.members.length === 0) return ''
  const rows = report.members.map((it) => [
    ...[it.name, `${it.host}:${it.port}`, it.leader ? 'leader' : '', it.role],
    ...[it.replication_state ?? it.state, it.timeline, it.lag_bytes, it.sessions],
  ])
  const headers = [
    'member',
    'address',
    'lock',
    'role',
    'state',
    'timeline',
    'lag_bytes',
    'sessions',
  ]
  return formatTable(headers, rows)
}

function seconds(ms: number): number {
  return Math.round(ms / 1000)
}
