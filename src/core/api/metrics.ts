/** The figures of `GET /metrics` that are read off the picture, as plain data. */
import { HOLD_BUCKETS_MS } from '../fleet/messages.ts'
import { TARGETS } from '../routing/types.ts'
import { type ListenerTotals, sumCpuUs, sumListeners } from './fleet-totals.ts'
import type { Delay, ProcessPicture, RouterPicture } from './types.ts'

export type Labels = Readonly<Record<string, string>>
export type Sample = { readonly labels: Labels; readonly value: number; readonly suffix?: string }
export type Family = {
  readonly name: string
  readonly help: string
  readonly type: 'gauge' | 'counter' | 'histogram'
  readonly read: (picture: RouterPicture) => readonly Sample[]
}

/** Every family, in the order it is shown. */
export const FAMILIES: readonly Family[] = [
  one(
    'pgsteer_info',
    'gauge',
    'Always 1; the version is a label.',
    () => 1,
    (p) => ({
      version: p.version,
      scope: p.scope,
      name: p.name,
    }),
  ),
  perListener('pgsteer_connections', 'gauge', 'Client connections open now.', (it) => it.current),
  perListener(
    'pgsteer_connections_total',
    'counter',
    'Client connections accepted.',
    (it) => it.accepted,
  ),
  {
    name: 'pgsteer_connections_ended_total',
    type: 'counter',
    help: 'Client connections that ended, by reason.',
    read: (picture) => listenerSamples(picture, ended),
  },
  {
    name: 'pgsteer_bytes_total',
    type: 'counter',
    help: 'Bytes passed on; in: from clients, out: to clients.',
    read: (picture) => listenerSamples(picture, bytes),
  },
  perListener('pgsteer_held_clients', 'gauge', 'Clients waiting for a route.', (it) => it.held),
  {
    name: 'pgsteer_hold_seconds',
    type: 'histogram',
    help: 'How long clients waited for a route.',
    read: (picture) => listenerSamples(picture, holdHistogram),
  },
  {
    name: 'pgsteer_route_open',
    type: 'gauge',
    help: '1 while the route is open, 0 while it is held.',
    read: routeSamples,
  },
  one(
    'pgsteer_term',
    'gauge',
    'etcd revision at which the leader key of the routed term was created; 0: none.',
    (p) => p.table?.term?.created ?? 0,
  ),
  one('pgsteer_stale', 'gauge', '1 while the route table may be old.', (p) =>
    (p.table?.stale ?? true) ? 1 : 0,
  ),
  one('pgsteer_etcd_up', 'gauge', '1 while etcd answers.', (p) =>
    p.etcd.state === 'live' ? 1 : 0,
  ),
  one('pgsteer_workers', 'gauge', 'Workers that serve.', (p) => serving(p).length),
  one(
    'pgsteer_worker_restarts_total',
    'counter',
    'Workers started because another had died.',
    (p) => p.workerRestarts,
  ),
  {
    name: 'pgsteer_event_loop_delay_seconds',
    type: 'gauge',
    help: 'How late the event loop ran in the last second; quantile 1 is the worst.',
    read: (picture) =>
      processes(picture).flatMap(([name, it]) => delays(name, it.eventLoopDelayMs)),
  },
  {
    name: 'pgsteer_process_resident_bytes',
    type: 'gauge',
    help: 'Resident memory.',
    read: (picture) =>
      processes(picture).map(([name, it]) => ({ labels: { process: name }, value: it.rssBytes })),
  },
  {
    name: 'pgsteer_process_cpu_seconds_total',
    type: 'counter',
    help: 'CPU time used; of a worker with its predecessors.',
    read: cpuSamples,
  },
]

function one(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  value: (picture: RouterPicture) => number,
  labels: (picture: RouterPicture) => Labels = () => ({}),
): Family {
  return { name, type, help, read: (p) => [{ labels: labels(p), value: value(p) }] }
}

function perListener(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  value: (totals: ListenerTotals) => number,
): Family {
  return {
    name,
    type,
    help,
    read: (picture) =>
      listenerSamples(picture, (it, listener) => [{ labels: { listener }, value: value(it) }]),
  }
}

function listenerSamples(
  picture: RouterPicture,
  read: (totals: ListenerTotals, listener: string) => readonly Sample[],
): Sample[] {
  return Object.entries(sumListeners(picture.totals)).flatMap(([name, it]) => read(it, name))
}

function ended(totals: ListenerTotals, listener: string): Sample[] {
  return Object.entries(totals.ended).map(([reason, value]) => ({
    labels: { listener, reason },
    value,
  }))
}

function bytes(totals: ListenerTotals, listener: string): Sample[] {
  return [
    { labels: { listener, direction: 'in' }, value: totals.bytesIn },
    { labels: { listener, direction: 'out' }, value: totals.bytesOut },
  ]
}

function holdHistogram(totals: ListenerTotals, listener: string): Sample[] {
  const buckets = HOLD_BUCKETS_MS.map((boundMs, at) => ({
    labels: { listener, le: String(boundMs / 1000) },
    value: totals.holdBuckets[at] ?? 0,
    suffix: '_bucket',
  }))
  return [
    ...buckets,
    { labels: { listener, le: '+Inf' }, value: totals.holdCount, suffix: '_bucket' },
    { labels: { listener }, value: totals.holdSumMs / 1000, suffix: '_sum' },
    { labels: { listener }, value: totals.holdCount, suffix: '_count' },
  ]
}

function routeSamples({ table }: RouterPicture): Sample[] {
  return Object.entries(table?.listeners ?? {}).flatMap(([listener, routes]) =>
    TARGETS.map((target) => ({
      labels: { listener, target },
      value: routes[target].kind === 'open' ? 1 : 0,
    })),
  )
}

function processes(picture: RouterPicture): [string, ProcessPicture][] {
  const workers = serving(picture).flatMap((it): [string, ProcessPicture][] =>
    it.process === null ? [] : [[workerName(it.index), it.process]],
  )
  return [['control', picture.control], ...workers]
}

function cpuSamples(picture: RouterPicture): Sample[] {
  const workers = [...sumCpuUs(picture.totals)].map(([index, cpuUs]) => ({
    labels: { process: workerName(index) },
    value: cpuUs / 1e6,
  }))
  return [{ labels: { process: 'control' }, value: picture.control.cpuUs / 1e6 }, ...workers]
}

function delays(process: string, delay: Delay): Sample[] {
  return [
    { labels: { process, quantile: '0.5' }, value: delay.p50 / 1000 },
    { labels: { process, quantile: '0.99' }, value: delay.p99 / 1000 },
    { labels: { process, quantile: '1' }, value: delay.max / 1000 },
  ]
}

function serving(picture: RouterPicture) {
  return picture.workers.filter((it) => it.state === 'serving' && it.connected)
}

function workerName(index: number): string {
  return `worker-${index}`
}
