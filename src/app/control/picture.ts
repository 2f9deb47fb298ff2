/** Gathers the picture of this router at the moment of a question. */
import type { EtcdPicture, RouterPicture, WorkerPicture } from '../../core/api/types.ts'
import type { Worker } from '../../core/fleet/adoption.ts'
import type { EtcdHealth } from '../../core/routing/decide.ts'
import type { ProcessStats } from '../../io/telemetry/process-stats.ts'
import type { RouteLoop } from '../route-loop.ts'
import type { Connection, Fleet } from './fleet.ts'
import type { Supervisor } from './supervisor.ts'

export type PictureSources = {
  readonly nowMs: number
  readonly startedAtMs: number
  readonly identity: { readonly name: string; readonly scope: string; readonly version: string }
  /** Null before the first word about etcd. */
  readonly health: EtcdHealth | null
  readonly endpoint: string | null
  readonly loop: RouteLoop
  readonly fleet: Fleet
  readonly supervisor: Supervisor
  readonly control: ProcessStats
}

export function takePicture(from: PictureSources): RouterPicture {
  const { nowMs, fleet, supervisor, loop } = from
  return {
    nowMs,
    startedAtMs: from.startedAtMs,
    ...from.identity,
    etcd: etcdPicture(from),
    view: loop.view,
    table: loop.table,
    listeners: fleet.settings.listeners,
    workersWanted: supervisor.wanted,
    workers: supervisor.workers.map((it) => workerPicture(it, fleet.connection(it.pid), nowMs)),
    control: { pid: process.pid, ...from.control },
    totals: fleet.totals,
    workerRestarts: supervisor.restarts,
  }
}

function etcdPicture({ health, endpoint, startedAtMs }: PictureSources): EtcdPicture {
  if (health === null) return { state: 'lost', sinceMs: startedAtMs, why: 'no answer yet' }
  if (health.kind === 'live') return { state: 'live', endpoint }
  return { state: 'lost', sinceMs: health.sinceMs, why: health.why }
}

function workerPicture(
  worker: Worker,
  connection: Connection | undefined,
  nowMs: number,
): WorkerPicture {
  const stats = connection?.stats ?? null
  return {
    index: worker.index,
    pid: worker.pid,
    version: connection?.version ?? '',
    state: worker.at.kind,
    connected: worker.connected,
    listening: worker.at.kind === 'serving' && worker.at.listening,
    ageMs: nowMs - worker.startedAtMs,
    faults: connection?.faults ?? [],
    process: stats === null ? null : processPicture(worker.pid, stats),
  }
}

function processPicture(pid: number, stats: NonNullable<Connection['stats']>) {
  const { rssBytes, cpuUs, eventLoopDelayMs } = stats
  return { pid, rssBytes, cpuUs, eventLoopDelayMs }
}
