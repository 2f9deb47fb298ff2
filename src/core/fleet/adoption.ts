/**
 * Which worker processes there should be: decisions only. A worker is known by its pid. The control
 * process reports what happened, `decideFleet` answers what to do; time is an argument. A worker
 * may outlive its control process, so those found alive at start are awaited, then adopted when
 * they are of our kind and replaced, new one first, when they are not.
 */
import { assertNever } from '../../kit/assert-never.ts'
import { FLEET_PROTOCOL } from './messages.ts'

export type Worker = {
  readonly pid: number
  readonly index: number
  readonly at: WorkerStage
  readonly connected: boolean
  readonly ownsUnixSockets: boolean
  readonly startedAtMs: number
  readonly heardAtMs: number
}

export type WorkerStage =
  /** Alive when we started; has not dialled in yet. */
  | { readonly kind: 'awaited' }
  | { readonly kind: 'starting' }
  | { readonly kind: 'serving'; readonly listening: boolean }
  /** Of another version: serves until its replacement listens. */
  | { readonly kind: 'outdated'; readonly speaksOurProtocol: boolean }
  | { readonly kind: 'leaving'; readonly sinceMs: number; readonly untilMs: number }
  /** Killed by us; only its end is still to come. */
  | { readonly kind: 'killed' }

export type FleetState = {
  readonly wanted: number
  readonly version: string
  readonly graceMs: number
  readonly workers: ReadonlyMap<number, Worker>
  /** By index: quick deaths in a row, and when the next start may be. */
  readonly retries: ReadonlyMap<number, { readonly deaths: number; readonly atMs: number }>
  /** Indexes whose `spawn` was ordered and not yet reported back. */
  readonly spawning: ReadonlySet<number>
  readonly lastTickMs: number
}

export type FleetEvent =
  /** All at once: one found first must not make the next look missing. */
  | {
      readonly kind: 'found'
      readonly workers: readonly { readonly pid: number; readonly index: number }[]
    }
  | { readonly kind: 'spawned'; readonly pid: number; readonly index: number }
  | { readonly kind: 'spawn-failed'; readonly index: number }
  | {
      readonly kind: 'hello'
      readonly pid: number
      readonly index: number
      readonly protocol: number
      readonly version: string
      readonly ownsUnixSockets: boolean
    }
  | { readonly kind: 'listening'; readonly pid: number }
  | { readonly kind: 'heard'; readonly pid: number }
  | { readonly kind: 'hung-up'; readonly pid: number }
  | { readonly kind: 'exited'; readonly pid: number }
  | { readonly kind: 'resized'; readonly wanted: number; readonly graceMs: number }
  | { readonly kind: 'tick' }

export type FleetAction =
  | { readonly kind: 'spawn'; readonly index: number }
  /** Send it settings and table. */
  | { readonly kind: 'adopt'; readonly pid: number }
  | { readonly kind: 'own-unix-sockets'; readonly pid: number }
  | {
      readonly kind: 'drain'
      readonly pid: number
      readonly why: DrainCause
      readonly graceMs: number
    }
  | { readonly kind: 'kill'; readonly pid: number; readonly why: KillCause }

export type DrainCause = 'another-version' | 'another-protocol' | 'not-wanted' | 'unknown-worker'
export type KillCause = 'silent' | 'never-said-hello' | 'never-came-back' | 'drained-too-long'

export type FleetDecision = {
  readonly state: FleetState
  readonly actions: readonly FleetAction[]
}

/** How long workers of an earlier control process have to dial in again. */
export const AWAIT_MS = 1000
export const SILENCE_MS = 5000
export const HELLO_MS = 10_000
/** A worker that died younger than this counts as one that can't start. */
export const QUICK_DEATH_MS = 1000
const RETRY_DELAYS_MS = [0, 250, 500, 1000, 2000, 5000]
/** A drained worker has let go of its sockets by then: the next may bind them. */
const SOCKETS_FREE_MS = 1000
const DRAIN_SLACK_MS = 2000
/**
 * Sessions of a replaced worker did nothing wrong and may go on: it still gets every table. Only one
 * that can't read our tables has to let go within the shutdown grace.
 */
export const REPLACED_GRACE_MS = 24 * 3600 * 1000
/** While a worker is missing or out of touch we look often, else once in `CALM_TICK_MS`. */
const ALERT_TICK_MS = 100
const CALM_TICK_MS = 1000
/** Ticks further apart mean that we were frozen, not the workers. */
const TICK_GAP_MS = 2500

export function initialFleet(
  wanted: number,
  version: string,
  graceMs: number,
  nowMs: number,
): FleetState {
  const none = { workers: new Map(), retries: new Map(), spawning: new Set<number>() }
  return { wanted, version, graceMs, ...none, lastTickMs: nowMs }
}

/** One step: what happened, at `nowMs`, and what to do about it. */
export function decideFleet(state: FleetState, nowMs: number, event: FleetEvent): FleetDecision {
  const noted = note(state, nowMs, event)
  const overdue = decideOverdue(noted.state, nowMs)
  const surplus = decideSurplus(overdue.state, nowMs)
  const missing = decideMissing(surplus.state, nowMs)
  const sockets = decideSockets(missing.state, nowMs)
  return {
    state: sockets.state,
    actions: [noted, overdue, surplus, missing, sockets].flatMap((step) => step.actions),
  }
}

/** Workers that clients reach now. */
export function isServing(worker: Worker): boolean {
  return worker.at.kind === 'serving' && worker.connected
}

/**
 * Workers that may have sessions by some table, whether or not they can be reached now: also one that
 * has not dialled in again yet, one that hung up, and one whose end was ordered and not seen.
 */
export function mayHoldSessions({ at }: Worker): boolean {
  return at.kind !== 'starting'
}

/** When the next `tick` is due, from now. */
export function tickAfterMs(state: FleetState): number {
  const workers = [...state.workers.values()]
  const served = workers.filter((worker) => worker.at.kind === 'serving' && worker.connected)
  const calm = served.length >= state.wanted && workers.every((worker) => worker.connected)
  return calm ? CALM_TICK_MS : ALERT_TICK_MS
}

function note(state: FleetState, nowMs: number, event: FleetEvent): FleetDecision {
  switch (event.kind) {
    case 'found':
      return quiet(
        event.workers.reduce(
          (met, it) => put(met, newWorker(it.pid, it.index, { kind: 'awaited' }, nowMs)),
          state,
        ),
      )
    case 'spawned':
      return quiet(
        put(
          notSpawning(state, event.index),
          newWorker(event.pid, event.index, { kind: 'starting' }, nowMs),
        ),
      )
    case 'spawn-failed':
      return quiet(noteDeath(notSpawning(state, event.index), event.index, 0, nowMs))
    case 'hello':
      return noteHello(state, nowMs, event)
    case 'listening':
      return quiet(
        change(state, event.pid, (worker) =>
          worker.at.kind === 'serving'
            ? { ...worker, heardAtMs: nowMs, at: { kind: 'serving', listening: true } }
            : { ...worker, heardAtMs: nowMs },
        ),
      )
    case 'heard':
      return quiet(change(state, event.pid, (worker) => ({ ...worker, heardAtMs: nowMs })))
    case 'hung-up':
      return quiet(
        change(state, event.pid, (worker) => ({ ...worker, connected: false, heardAtMs: nowMs })),
      )
    case 'exited':
      return quiet(noteExit(state, event.pid, nowMs))
    case 'resized':
      return quiet({ ...state, wanted: event.wanted, graceMs: event.graceMs })
    case 'tick':
      return quiet(noteTick(state, nowMs))
    default:
      return assertNever(event)
  }
}

function noteHello(
  state: FleetState,
  nowMs: number,
  hello: Extract<FleetEvent, { kind: 'hello' }>,
): FleetDecision {
  const known = state.workers.get(hello.pid)
  const base = known ?? newWorker(hello.pid, hello.index, { kind: 'awaited' }, nowMs)
  const met = {
    ...base,
    index: hello.index,
    connected: true,
    heardAtMs: nowMs,
    ownsUnixSockets: hello.ownsUnixSockets,
  }
  const speaksOurProtocol = hello.protocol === FLEET_PROTOCOL
  if (known === undefined) {
    const why = speaksOurProtocol ? 'unknown-worker' : 'another-protocol'
    return drain(put(state, met), met, why, nowMs)
  }
  if (base.at.kind === 'leaving' || base.at.kind === 'killed') return quiet(put(state, met))
  if (!speaksOurProtocol || hello.version !== state.version) {
    return quiet(put(state, { ...met, at: { kind: 'outdated', speaksOurProtocol } }))
  }
  const listening = base.at.kind === 'serving' && base.at.listening
  return {
    state: put(state, { ...met, at: { kind: 'serving', listening } }),
    actions: [{ kind: 'adopt', pid: hello.pid }],
  }
}

function noteExit(state: FleetState, pid: number, nowMs: number): FleetState {
  const worker = state.workers.get(pid)
  if (worker === undefined) return state
  const workers = new Map(state.workers)
  workers.delete(pid)
  return noteDeath({ ...state, workers }, worker.index, nowMs - worker.startedAtMs, nowMs)
}

function noteDeath(state: FleetState, index: number, livedMs: number, nowMs: number): FleetState {
  const retries = new Map(state.retries)
  const before = retries.get(index)?.deaths ?? 0
  const deaths = livedMs < QUICK_DEATH_MS ? before + 1 : 0
  const delayMs = RETRY_DELAYS_MS[Math.min(Math.max(deaths - 1, 0), RETRY_DELAYS_MS.length - 1)]!
  retries.set(index, { deaths, atMs: nowMs + delayMs })
  return { ...state, retries }
}

/** After a pause of ours nobody is blamed for silence: what they said meanwhile is still unread. */
function noteTick(state: FleetState, nowMs: number): FleetState {
  const ticked = { ...state, lastTickMs: nowMs }
  if (nowMs - state.lastTickMs <= TICK_GAP_MS) return ticked
  const workers = new Map(state.workers)
  for (const [pid, worker] of workers) workers.set(pid, { ...worker, heardAtMs: nowMs })
  return { ...ticked, workers }
}

function decideOverdue(state: FleetState, nowMs: number): FleetDecision {
  const actions: FleetAction[] = []
  let next = state
  for (const worker of state.workers.values()) {
    const why = overdue(worker, nowMs)
    if (why === null) continue
    next = put(next, { ...worker, at: { kind: 'killed' } })
    actions.push({ kind: 'kill', pid: worker.pid, why })
  }
  return { state: next, actions }
}

function overdue(worker: Worker, nowMs: number): KillCause | null {
  const silentMs = nowMs - worker.heardAtMs
  switch (worker.at.kind) {
    case 'awaited':
      return silentMs >= SILENCE_MS ? 'never-came-back' : null
    case 'starting':
      return silentMs >= HELLO_MS ? 'never-said-hello' : null
    case 'serving':
    case 'outdated':
      if (silentMs < SILENCE_MS) return null
      return worker.connected ? 'silent' : 'never-came-back'
    case 'leaving':
      if (nowMs >= worker.at.untilMs) return 'drained-too-long'
      return worker.connected && silentMs >= SILENCE_MS ? 'silent' : null
    case 'killed':
      return null
    default:
      return assertNever(worker.at)
  }
}

/** Outdated workers whose replacement listens, and those beyond the wanted number, are drained. */
function decideSurplus(state: FleetState, nowMs: number): FleetDecision {
  const actions: FleetAction[] = []
  let next = state
  for (const worker of state.workers.values()) {
    const why = surplusCause(state, worker)
    if (why === null) continue
    const step = drain(next, worker, why, nowMs)
    next = step.state
    actions.push(...step.actions)
  }
  return { state: next, actions }
}

function surplusCause(state: FleetState, worker: Worker): DrainCause | null {
  if (!worker.connected) return null
  const others = [...state.workers.values()].filter(
    (other) => other.index === worker.index && other.pid !== worker.pid,
  )
  if (worker.at.kind === 'outdated') {
    const replaced = others.some((other) => other.at.kind === 'serving' && other.at.listening)
    if (!replaced && worker.index < state.wanted) return null
    return worker.at.speaksOurProtocol ? 'another-version' : 'another-protocol'
  }
  if (worker.at.kind !== 'serving') return null
  const elder = others.some(
    (other) => other.at.kind === 'serving' && other.connected && isElder(other, worker),
  )
  return elder || worker.index >= state.wanted ? 'not-wanted' : null
}

/** Of two with one index the elder stays: it has more clients. */
function isElder(a: Worker, b: Worker): boolean {
  return a.startedAtMs === b.startedAtMs ? a.pid < b.pid : a.startedAtMs < b.startedAtMs
}

function decideMissing(state: FleetState, nowMs: number): FleetDecision {
  const actions: FleetAction[] = []
  const workers = [...state.workers.values()]
  const spawning = new Set(state.spawning)
  for (let index = 0; index < state.wanted; index += 1) {
    if (workers.some((worker) => worker.index === index && fillsPlace(worker, nowMs))) continue
    if (spawning.has(index) || nowMs < (state.retries.get(index)?.atMs ?? 0)) continue
    spawning.add(index)
    actions.push({ kind: 'spawn', index })
  }
  return actions.length === 0 ? quiet(state) : { state: { ...state, spawning }, actions }
}

function fillsPlace(worker: Worker, nowMs: number): boolean {
  if (worker.at.kind === 'awaited') return isAwaited(worker, nowMs)
  return worker.at.kind === 'starting' || worker.at.kind === 'serving'
}

function isAwaited(worker: Worker, nowMs: number): boolean {
  return worker.at.kind === 'awaited' && nowMs - worker.startedAtMs < AWAIT_MS
}

/** One worker owns the unix sockets; the next is named only when the former has let go of them. */
function decideSockets(state: FleetState, nowMs: number): FleetDecision {
  const workers = [...state.workers.values()]
  const mayOwn = (worker: Worker) => worker.ownsUnixSockets || isAwaited(worker, nowMs)
  if (workers.some((worker) => mayOwn(worker) && !hasLetGo(worker, nowMs))) return quiet(state)
  const heir = workers
    .filter((worker) => isServing(worker) && !worker.ownsUnixSockets)
    .sort((a, b) => a.index - b.index)[0]
  if (heir === undefined) return quiet(state)
  return {
    state: put(state, { ...heir, ownsUnixSockets: true }),
    actions: [{ kind: 'own-unix-sockets', pid: heir.pid }],
  }
}

function hasLetGo(worker: Worker, nowMs: number): boolean {
  if (worker.at.kind === 'killed') return true
  if (worker.at.kind !== 'leaving') return false
  const { sinceMs } = worker.at
  return nowMs - sinceMs >= SOCKETS_FREE_MS && worker.heardAtMs > sinceMs
}

function drain(state: FleetState, worker: Worker, why: DrainCause, nowMs: number): FleetDecision {
  const graceMs = why === 'another-protocol' ? state.graceMs : REPLACED_GRACE_MS
  const untilMs = nowMs + graceMs + DRAIN_SLACK_MS
  return {
    state: put(state, { ...worker, at: { kind: 'leaving', sinceMs: nowMs, untilMs } }),
    actions: [{ kind: 'drain', pid: worker.pid, why, graceMs }],
  }
}

function notSpawning(state: FleetState, index: number): FleetState {
  const spawning = new Set(state.spawning)
  spawning.delete(index)
  return { ...state, spawning }
}

function newWorker(pid: number, index: number, at: WorkerStage, nowMs: number): Worker {
  const silent = { connected: false, ownsUnixSockets: false }
  return { pid, index, at, ...silent, startedAtMs: nowMs, heardAtMs: nowMs }
}

function put(state: FleetState, worker: Worker): FleetState {
  return { ...state, workers: new Map(state.workers).set(worker.pid, worker) }
}

function change(state: FleetState, pid: number, how: (worker: Worker) => Worker): FleetState {
  const worker = state.workers.get(pid)
  return worker === undefined ? state : put(state, how(worker))
}

function quiet(state: FleetState, actions: readonly FleetAction[] = []): FleetDecision {
  return { state, actions }
}
