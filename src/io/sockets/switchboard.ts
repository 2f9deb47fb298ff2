/**
 * The data plane of one worker: its listeners, its sessions, who waits, and the last route table. The
 * control process says what is true; between two tables, or without a control process at all, the
 * switchboard goes on by the last one.
 */
import type { SecureContext } from 'node:tls'
import type {
  ClientInfo,
  EndReason,
  SlotKind,
  WorkerListener,
  WorkerSettings,
  WorkerStats,
} from '../../core/fleet/messages.ts'
import { Purse } from '../../core/fleet/purse.ts'
import { compileTrusted, inTrusted, type TrustedList } from '../../core/pgwire/addresses.ts'
import type { Cancel } from '../../core/pgwire/startup.ts'
import { mustCut } from '../../core/routing/cut.ts'
import type { Backend, RouteTable, TroubleKind } from '../../core/routing/types.ts'
import { type Board, type DialSettings, describeSession } from './board.ts'
import { sendCancel } from './cancel.ts'
import { Counters } from './counters.ts'
import type { DialResult } from './dial.ts'
import { contextOf, dialSettingsOf } from './dial-settings.ts'
import { ENDINGS } from './endings.ts'
import type { Peer } from './listener.ts'
import type { OpeningPlan } from './opening.ts'
import { Session } from './session.ts'
import { WaitLines } from './wait-lines.ts'
import type { Wire } from './wire.ts'

/** How often waits and logins are looked at for having lasted too long. */
const SWEEP_MS = 100
/** Clients beyond `max_clients` that may be heard out: one of them may bring a cancel request. */
const UNADMITTED_MAX = 256
/** Cancel requests passed on at the same time; each asks one server or all. */
const CANCELS_MAX = 256
/** Clients told their last word that may take their time to read it. */
const LEAVING_MAX = 1024
/** How long, past the grace of a drain, last words may still take to leave. */
const LAST_WORDS_MS = 1_000

export interface SwitchboardEvents {
  want(slot: SlotKind, count: number): void
  giveBack(slot: SlotKind, count: number): void
  trouble(member: string, what: TroubleKind, words: string): void
  ended(session: Session, reason: EndReason, words: string | null): void
  /** The last session is gone while draining. */
  drained(): void
}

type Listening = WorkerListener & { readonly trusted: TrustedList }

export class Switchboard implements Board {
  readonly purses: Readonly<Record<SlotKind, Purse<Session>>>
  plan: DialSettings
  private settings: WorkerSettings
  private table: RouteTable | null = null
  private listeners = new Map<string, Listening>()
  private clientContext: SecureContext | null = null
  private readonly sessions = new Set<Session>()
  private readonly connections = new Map<string, number>()
  private lines: WaitLines<Session>
  private readonly counters = new Counters()
  private readonly events: SwitchboardEvents
  private readonly idPrefix: string
  private nextId = 1
  private unadmitted = 0
  private cancels = 0
  /** Ended sessions whose last words are still on their way. */
  private leaving = 0
  private sweep: NodeJS.Timeout | null = null
  private nextTry: NodeJS.Timeout | null = null
  private draining: { untilMs: number; cutIdle: boolean } | null = null

  constructor(settings: WorkerSettings, idPrefix: string, events: SwitchboardEvents) {
    this.events = events
    this.idPrefix = idPrefix
    this.settings = settings
    this.purses = {
      clients: new Purse<Session>(settings.limits.maxClients, asks(events, 'clients')),
      held: new Purse<Session>(settings.hold.maxClients, asks(events, 'held')),
    }
    this.lines = this.newLines()
    this.plan = dialSettingsOf(settings)
    this.apply(settings)
  }

  private newLines(): WaitLines<Session> {
    const most = Number.MAX_SAFE_INTEGER // the limit is the purse's, over all lines and workers
    return new WaitLines<Session>(most, (member) => this.connections.get(member) ?? 0)
  }

  // -- what the control process says

  /** New settings; sessions that live go on by what they began with. Throws on unusable TLS texts. */
  apply(settings: WorkerSettings): void {
    const clientContext = contextOf(settings.clientTls)
    const plan = dialSettingsOf(settings) // both may throw: nothing was changed by then
    this.clientContext = clientContext
    this.plan = plan
    this.settings = settings
    this.purses.clients.setLimit(settings.limits.maxClients)
    this.purses.held.setLimit(settings.hold.maxClients)
    this.listeners = new Map(
      settings.listeners.map((listener) => [
        listener.name,
        { ...listener, trusted: compileTrusted(listener.proxyProtocolFrom).list },
      ]),
    )
  }

  /** Takes a new table, cuts what it deposes, serves who waits. Returns how many sessions were cut. */
  follow(table: RouteTable): number {
    this.table = table
    this.lines.forgetFailures()
    let cut = 0
    for (const session of [...this.sessions]) {
      const { backend } = session
      if (backend === null || !mustCut(table.keep, backend)) continue
      if (session.state === 'connecting') session.abandonAttempt()
      else if (session.state === 'established') {
        session.cut('primary-changed')
        cut++
      }
    }
    this.serve()
    return cut
  }

  /** Ends by itself as sessions end; what is left after `graceMs` is cut. */
  drain(graceMs: number, cutIdle: boolean): void {
    this.draining = { untilMs: performance.now() + graceMs, cutIdle }
    this.keepSweeping()
    this.sweepDraining(performance.now())
  }

  // -- clients

  accept(listener: string, target: WorkerListener['target'], wire: Wire, peer: Peer): void {
    const id = `${this.idPrefix}${this.nextId++}`
    const session = new Session(this, id, listener, target, wire, peer)
    this.sessions.add(session)
    this.counters.accepted(listener)
    session.admitted = this.purses.clients.take(session, (admitted) => {
      session.admitted = admitted
      if (!admitted) this.unadmitted++
      if (session.state === 'held') this.admit(session)
      else if (!admitted && this.unadmitted > UNADMITTED_MAX)
        session.refuse(ENDINGS.tooManyClients())
    })
    session.open(this.settings.keepalive.idleMs)
    this.keepSweeping()
    if (session.admitted !== false) return
    if (++this.unadmitted > UNADMITTED_MAX) session.refuse(ENDINGS.tooManyClients())
  }

  openingPlan(session: Session): OpeningPlan {
    const listener = this.listeners.get(session.listener)
    const { clientTls } = this.settings
    return {
      proxyHeader: listener !== undefined && inTrusted(listener.trusted, session.source.host),
      tls:
        clientTls === null || this.clientContext === null
          ? null
          : { mode: clientTls.mode, context: this.clientContext },
      unixSocket: session.viaUnixSocket,
    }
  }

  enqueue(session: Session): void {
    this.admit(session)
    this.keepSweeping()
  }

  /** Nobody is served before being let in; the answer about that may still be awaited. */
  private admit(session: Session): void {
    if (session.admitted === 'pending') return
    if (session.admitted === false) return session.refuse(ENDINGS.tooManyClients())
    this.lines.join(session)
    this.serve()
    if (session.state === 'held') this.countAsHeld(session)
  }

  private countAsHeld(session: Session): void {
    if (session.holdsLineSlot) return
    session.holdsLineSlot = true
    const admitted = this.purses.held.take(session, (later) => {
      if (later) return
      session.holdsLineSlot = false
      if (session.state === 'held' || session.state === 'connecting')
        session.refuse(ENDINGS.tooManyWaiting())
    })
    if (admitted === false) {
      session.holdsLineSlot = false
      session.refuse(ENDINGS.tooManyWaiting())
    }
  }

  leaveLine(session: Session): void {
    this.lines.leave(session)
    if (!session.holdsLineSlot) return
    session.holdsLineSlot = false
    if (!this.purses.held.drop(session)) this.purses.held.putBack()
  }

  private serve(): void {
    const { connectWindow } = this.settings.limits
    this.lines.serve(this.table, connectWindow, performance.now(), (session, backend) =>
      session.connectTo(backend),
    )
    this.serveLater()
  }

  /** A backend that is being left alone is tried again when its moment is over. */
  private serveLater(): void {
    if (this.nextTry !== null || this.lines.size === 0) return
    const now = performance.now()
    const next = this.lines.nextTryMs(now)
    if (next === null) return
    this.nextTry = setTimeout(() => {
      this.nextTry = null
      this.serve()
    }, next - now)
  }

  dialed(_session: Session, backend: Backend, result: DialResult | null): void {
    const now = performance.now()
    if (result?.kind === 'not-yet') {
      this.lines.dialed(backend.member, 'failed', now)
      this.counters.failed(backend.member)
      if (result.trouble !== null) {
        this.events.trouble(backend.member, result.trouble, result.why)
      }
    } else this.lines.dialed(backend.member, result === null ? 'nothing' : 'worked', now)
    queueMicrotask(() => this.serve())
  }

  isDeposed(backend: Backend): boolean {
    return this.table !== null && mustCut(this.table.keep, backend)
  }

  established(session: Session, backend: Backend): void {
    if (session.holdsLineSlot) this.counters.heldFor(session.listener, session.heldMs)
    this.leaveLine(session)
    this.connections.set(backend.member, (this.connections.get(backend.member) ?? 0) + 1)
  }

  serverGone(session: Session, backend: Backend, unexplained: boolean): void {
    const left = (this.connections.get(backend.member) ?? 1) - 1
    if (left > 0) this.connections.set(backend.member, left)
    else this.connections.delete(backend.member)
    const { tunnel } = session
    if (tunnel !== null) this.counters.carried(session.listener, tunnel.bytesIn, tunnel.bytesOut)
    if (unexplained) {
      const words = 'the server closed a session without a word'
      this.events.trouble(backend.member, 'session-lost', words)
    }
  }

  sawHotStandby(backend: Backend): void {
    const words = 'the server says that it is in recovery'
    this.lines.leaveAlone(backend.member, performance.now())
    this.events.trouble(backend.member, 'in-hot-standby', words)
  }

  cancel(session: Session, cancel: Cancel): void {
    if (this.cancels >= CANCELS_MAX) return session.refuse(ENDINGS.cancelDropped())
    this.cancels++
    sendCancel(this.plan, cancel, this.cancelTargets(cancel), () => {
      this.cancels--
      session.refuse(ENDINGS.cancelDone())
    })
  }

  private cancelTargets(cancel: Cancel): readonly Backend[] {
    for (const { tunnel, backend } of this.sessions) {
      const cursor = tunnel?.cursor
      if (cursor?.backendPid !== cancel.pid || backend === null) continue
      if (cursor.backendKey?.equals(cancel.key) === true) return [backend]
    }
    return this.table?.members ?? []
  }

  ended(session: Session, reason: EndReason, words: string | null, leaving: boolean): void {
    if (!this.sessions.delete(session)) return
    if (leaving) this.leaving++
    if (session.admitted === true) this.purses.clients.putBack()
    else if (session.admitted === false) this.unadmitted--
    else this.purses.clients.drop(session)
    this.counters.ended(session.listener, reason)
    this.events.ended(session, reason, words)
    this.checkDrained()
  }

  left(): void {
    this.leaving--
    this.checkDrained()
  }

  get crowded(): boolean {
    return this.leaving > LEAVING_MAX
  }

  private checkDrained(): void {
    if (this.draining === null || this.sessions.size > 0) return
    const late = performance.now() >= this.draining.untilMs + LAST_WORDS_MS
    if (this.leaving === 0 || late) this.events.drained()
  }

  // -- time

  private keepSweeping(): void {
    this.sweep ??= setInterval(() => this.onSweep(), SWEEP_MS)
  }

  private onSweep(): void {
    const now = performance.now()
    const { loginTimeoutMs } = this.settings.limits
    let busy = this.draining !== null
    // Both are in order of age, but for the few that had a turn already.
    for (const session of this.sessions) {
      if (session.state === 'startup') {
        busy = true
        if (now - session.phaseSinceMs > loginTimeoutMs) session.refuse(ENDINGS.loginTimeout())
      } else if (session.state === 'held' || session.state === 'connecting') {
        busy = true
        if (now - session.heldSinceMs! > this.patienceMs(session)) {
          session.onHoldTimeout(this.heldWords(session))
        }
      }
    }
    this.purses.clients.tick()
    this.purses.held.tick()
    this.serve()
    if (this.draining !== null) this.sweepDraining(now)
    if (busy || this.sweep === null) return
    clearInterval(this.sweep)
    this.sweep = null
  }

  /** A client whose route is open is being served: a short `hold.timeout` is not meant for that. */
  private patienceMs(session: Session): number {
    const { timeoutMs } = this.settings.hold
    const route = this.table?.listeners[session.listener]?.[session.target]
    if (route?.kind !== 'open') return timeoutMs
    return Math.max(timeoutMs, this.plan.connectTimeoutMs)
  }

  private heldWords(session: Session): string {
    const route = this.table?.listeners[session.listener]?.[session.target]
    if (route === undefined) return 'the router has not heard from the cluster yet'
    return route.kind === 'held' ? route.words : 'no connection could be made in time'
  }

  private sweepDraining(now: number): void {
    const { untilMs, cutIdle } = this.draining!
    for (const session of [...this.sessions]) {
      if (now >= untilMs && session.state !== 'established') session.refuse(ENDINGS.draining())
      else if (now >= untilMs || (cutIdle && session.tunnel?.isIdle === true)) {
        session.cut('draining')
      }
    }
    this.checkDrained()
  }

  // -- what can be asked

  clients(most: number): ClientInfo[] {
    const found: ClientInfo[] = []
    for (const session of this.sessions) {
      if (found.length >= most) break
      found.push(describeSession(session))
    }
    return found
  }

  stats(): Pick<WorkerStats, 'listeners' | 'backends'> {
    return this.counters.read([...this.listeners.keys()], this.sessions, this.connections)
  }
}

function asks(events: SwitchboardEvents, slot: SlotKind) {
  return {
    want: (count: number) => events.want(slot, count),
    giveBack: (count: number) => events.giveBack(slot, count),
  }
}
