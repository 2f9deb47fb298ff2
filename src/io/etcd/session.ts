/**
 * One connection from load to failure: load, watch from the next revision, prove every second.
 * Always ends with a reason; what comes next is the follower's business.
 */
import type { Endpoint } from './endpoint.ts'
import { EtcdError } from './errors.ts'
import { type Loaded, loadPrefix } from './load.ts'
import { otherStore, owedRevision, PROOF_INTERVAL_MS, readProof } from './proof.ts'
import type { Known } from './view.ts'
import { type Change, openWatch } from './watch.ts'

/** How long etcd may take to confirm the watch. */
const WATCH_CONFIRM_MS = 1500

export type SessionTask = {
  /** Opens the endpoint; may throw `EtcdError`. */
  readonly connect: () => Endpoint
  readonly prefix: string
  /** For the first answer. */
  readonly attemptMs: number
  /** Aborted: end with `closed`. */
  readonly signal: AbortSignal
}

export type SessionEvents = {
  /** `sentAtMs` is when the linearizable read was sent, `receivedAtMs` when all was there. */
  onLoaded(loaded: Loaded, sentAtMs: number, receivedAtMs: number): void
  /** The watch stands: together with the load the view is complete and stays so. */
  onWatching(): void
  onChanges(changes: readonly Change[], receivedAtMs: number): void
  /** The quorum answered a request sent at `sentAtMs`; the store is at this revision. */
  onProved(sentAtMs: number, revision: number): void
  /** What is known by the events above. */
  known(): Known
}

export type SessionEnd = {
  readonly error: EtcdError
  /** Whether at least one proof after the load succeeded. */
  readonly proved: boolean
}

/** Runs until something fails. Throws only what the event handlers throw. */
export async function runSession(task: SessionTask, events: SessionEvents): Promise<SessionEnd> {
  const { signal } = task
  let endpoint: Endpoint | null = null
  const stop = () => endpoint?.close()
  signal.addEventListener('abort', stop)
  try {
    endpoint = task.connect()
    const sentAtMs = performance.now()
    const loaded = await loadPrefix(endpoint, task.prefix, task.attemptMs)
    events.onLoaded(loaded, sentAtMs, performance.now())
    return await follow(task, endpoint, events)
  } catch (error) {
    if (error instanceof EtcdError) return { error, proved: false }
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
    endpoint?.close()
  }
}

async function follow(
  task: SessionTask,
  endpoint: Endpoint,
  events: SessionEvents,
): Promise<SessionEnd> {
  const ended = Promise.withResolvers<EtcdError>()
  const stop = () => ended.resolve(closedError())
  const proofs = openProofs(task.prefix, endpoint, events, ended.resolve)
  const overdue = setTimeout(() => ended.resolve(unconfirmed(endpoint)), WATCH_CONFIRM_MS)
  const watch = openWatch(endpoint, task.prefix, events.known().snapshot.revision + 1, {
    onCreated() {
      clearTimeout(overdue)
      proofs.start()
      events.onWatching()
    },
    onChanges: events.onChanges,
    onEnded: ended.resolve,
  })
  task.signal.addEventListener('abort', stop)
  if (task.signal.aborted) stop()
  const error = await ended.promise
  task.signal.removeEventListener('abort', stop)
  clearTimeout(overdue)
  watch.close()
  proofs.close()
  return { error, proved: proofs.count() > 0 }
}

/** Asks every second whether the view shows what the quorum has; ends at the first doubt. */
function openProofs(
  prefix: string,
  endpoint: Endpoint,
  events: SessionEvents,
  onFailed: (error: EtcdError) => void,
) {
  let count = 0
  let owed: number | null = null
  let open = true
  let timer: NodeJS.Timeout | undefined

  const prove = async () => {
    const asked = events.known()
    if (owed !== null && asked.snapshot.revision < owed)
      throw new EtcdError('watch-behind', `watch at ${asked.snapshot.revision}, store at ${owed}`)
    const sentAtMs = performance.now()
    const proof = await readProof(endpoint, prefix, asked.snapshot.revision)
    if (!open) return
    const other = otherStore({ revision: asked.highest, clusterId: asked.clusterId }, proof)
    if (other !== null) throw other
    const { revision, entries } = events.known().snapshot
    owed = owedRevision({ revision, keys: entries.size }, proof)
    count += 1
    schedule()
    events.onProved(sentAtMs, proof.revision)
  }
  const tick = () => {
    prove().catch((error: unknown) => {
      if (!(error instanceof EtcdError)) throw error
      onFailed(error)
    })
  }
  const schedule = () => {
    timer = setTimeout(tick, PROOF_INTERVAL_MS)
  }

  return {
    start: schedule,
    count: () => count,
    close() {
      open = false
      clearTimeout(timer)
    },
  }
}

function unconfirmed(endpoint: Endpoint): EtcdError {
  return new EtcdError('timeout', `watch at ${endpoint.address} was not confirmed`)
}

function closedError(): EtcdError {
  return new EtcdError('closed', 'follower closed')
}
