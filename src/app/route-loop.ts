/**
 * The one place where everything that bears on routing comes in: views from etcd, its health, what
 * members say, what workers suffer, time. Events only wake the loop; what arrived in one turn of the
 * event loop is decided together, at the end of that turn, without delay.
 */
import type { ClusterView, Snapshot } from '../core/cluster/types.ts'
import { buildView } from '../core/cluster/view.ts'
import {
  type Check,
  decideRoutes,
  type EtcdHealth,
  initialRoutingState,
  type Note,
  type Sighting,
  type Trouble,
} from '../core/routing/decide.ts'
import { chooseFound, decideByFound, type Found, type FoundStep } from '../core/routing/found.ts'
import type { ListenerPolicy, RouteTable } from '../core/routing/types.ts'
import type { Clock } from '../io/clock/clock.ts'

export type RouteLoopPorts = {
  readonly clock: Clock
  /** The table to serve by; `causeAtMs`: when the first event behind it came in. */
  publish(table: RouteTable, causeAtMs: number): void
  want(checks: readonly Check[]): void
  tell(note: Note, table: RouteTable): void
  /** Keys of the new view that could not be read. */
  onFaults(faults: ClusterView['faults']): void
}

/** Events kept for one turn; a storm beyond that only repeats itself. */
const INBOX_MAX = 1000

export class RouteLoop {
  readonly #ports: RouteLoopPorts
  #policies: readonly ListenerPolicy[]
  #state = initialRoutingState()
  #view: ClusterView | null = null
  #etcd: EtcdHealth = { kind: 'live' }
  #sightings: Sighting[] = []
  #troubles: Trouble[] = []
  #causeAtMs: number | null = null
  /** The table workers came with; of use until the first view. */
  #found: Found | null = null
  #isPublished = false
  #isClosed = false
  #cancelTimer: () => void = () => {}

  constructor(ports: RouteLoopPorts, policies: readonly ListenerPolicy[]) {
    this.#ports = ports
    this.#policies = policies
  }

  /** The newest decision, published or not. */
  get table(): RouteTable | null {
    return this.#state.table
  }

  get view(): ClusterView | null {
    return this.#view
  }

  noteSnapshot(snapshot: Snapshot, receivedAtMs: number): void {
    const before = this.#view
    this.#view = before === null ? buildView(snapshot) : buildView(snapshot, before)
    if (!isSame(before?.faults ?? [], this.#view.faults)) this.#ports.onFaults(this.#view.faults)
    this.#wake(receivedAtMs)
  }

  /** A worker dialled in that serves by a table of an earlier control process. */
  noteFound(table: RouteTable): void {
    if (this.#view !== null) return
    this.#found = chooseFound(this.#found, table)
    this.#wake(this.#ports.clock.nowMs())
  }

  noteHealth(health: EtcdHealth): void {
    this.#etcd = health
    this.#wake(this.#ports.clock.nowMs())
  }

  noteSighting(sighting: Sighting): void {
    if (this.#sightings.length < INBOX_MAX) this.#sightings.push(sighting)
    this.#wake(this.#ports.clock.nowMs())
  }

  noteTrouble(trouble: Trouble): void {
    if (this.#troubles.length < INBOX_MAX) this.#troubles.push(trouble)
    this.#wake(this.#ports.clock.nowMs())
  }

  setPolicies(policies: readonly ListenerPolicy[]): void {
    this.#policies = policies
    this.#wake(this.#ports.clock.nowMs())
  }

  close(): void {
    this.#isClosed = true
    this.#cancelTimer()
  }

  #wake(causeAtMs: number): void {
    if (this.#causeAtMs !== null) return
    this.#causeAtMs = causeAtMs
    queueMicrotask(() => this.#turn())
  }

  #turn(): void {
    if (this.#isClosed) return
    const causeAtMs = this.#causeAtMs ?? this.#ports.clock.nowMs()
    if (this.#view === null && this.#found !== null && this.#etcd.kind === 'lost') {
      return this.#goOnByFound(this.#found, causeAtMs)
    }
    const step = decideRoutes(this.#state, this.#takeInput())
    this.#state = step.state
    const isFirst = !this.#isPublished && this.#view !== null
    if (this.#view !== null && (step.changed || isFirst)) {
      this.#isPublished = true
      this.#ports.publish(step.table, causeAtMs)
    }
    this.#follow(step)
  }

  /** The decisions that follow start from the table workers then have. */
  #goOnByFound(before: Found, causeAtMs: number): void {
    const last = this.#isPublished ? this.#state.table : null
    const step = decideByFound(before, last, this.#takeInput())
    this.#found = step.found
    this.#state = { ...this.#state, table: step.table }
    this.#isPublished = true
    if (step.changed) this.#ports.publish(step.table, causeAtMs)
    this.#follow(step)
  }

  #follow({ checks, notes, table, wakeAtMs }: Omit<FoundStep, 'found' | 'changed'>): void {
    this.#ports.want(checks)
    for (const note of notes) this.#ports.tell(note, table)
    this.#planWake(wakeAtMs)
  }

  #takeInput() {
    const sightings = this.#sightings
    const troubles = this.#troubles
    this.#sightings = []
    this.#troubles = []
    this.#causeAtMs = null
    const nowMs = this.#ports.clock.nowMs()
    const known = { view: this.#view, etcd: this.#etcd, policies: this.#policies }
    return { nowMs, ...known, sightings, troubles }
  }

  #planWake(wakeAtMs: number | null): void {
    const { clock } = this.#ports
    this.#cancelTimer()
    if (wakeAtMs === null) return
    this.#cancelTimer = clock.after(wakeAtMs - clock.nowMs(), () => this.#wake(clock.nowMs()))
  }
}

function isSame(a: ClusterView['faults'], b: ClusterView['faults']): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
