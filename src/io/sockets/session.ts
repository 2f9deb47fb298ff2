/**
 * One client connection in tunnel mode, from accept to its log line.
 *
 *     startup ──► held ⇄ connecting ──► established ──► closing ──► ended
 *        ▲          └────────┘ "not yet": back to the head of the line
 *        └── the server does no TLS: the client may start again without
 *
 * Until the server's first answer is passed on, the client has been told nothing, so every failure
 * on the way is only waiting time. After it, a session that can't stay is cut.
 */
import type { ClientInfo, EndReason } from '../../core/fleet/messages.ts'
import {
  badTarget,
  fatalError,
  loginTimeout,
  noPrimary,
  noServer,
  primaryChanged,
  protocolViolation,
  routerStopping,
  serverLost,
  tlsRequired,
  tooMany,
} from '../../core/pgwire/errors.ts'
import { ENCRYPTION_REFUSED } from '../../core/pgwire/messages.ts'
import type { Cancel, Startup } from '../../core/pgwire/startup.ts'
import type { Backend, Target } from '../../core/routing/types.ts'
import { TARGETS } from '../../core/routing/types.ts'
import { type DialResult, dial, type Purpose } from './dial.ts'
import type { Peer } from './listener.ts'
import { certificateName, Opening, type OpeningEvents, type OpeningPlan } from './opening.ts'
import { type CutReason, Tunnel } from './tunnel.ts'
import { copyOf, DEAF, type Sink, type Wire } from './wire.ts'

/** How long a client may take to read what its server had said before it went away. */
const FLUSH_MS = 10 * 60_000
/** How long, after that, until it must have closed its side too. */
const LINGER_MS = 5_000
/** What a client may send ahead while it waits. */
const AHEAD_BYTES_MAX = 16 * 1024

/** What a session needs of the worker it lives in. */
export interface Board {
  readonly plan: DialSettings
  openingPlan(session: Session): OpeningPlan
  /** Puts the session in line for its target; `front`: it had its turn and could not connect. */
  enqueue(session: Session, front: boolean): void
  leaveLine(session: Session): void
  /** The attempt is over: the next in line may try. */
  dialed(session: Session, backend: Backend, result: DialResult): void
  /** Whether a session on this backend would have to be cut at once. */
  isDeposed(backend: Backend): boolean
  established(session: Session, backend: Backend): void
  serverGone(session: Session, backend: Backend, unexplained: boolean): void
  sawHotStandby(backend: Backend): void
  cancel(session: Session, cancel: Cancel): void
  ended(session: Session, reason: EndReason, words: string | null): void
}

export type DialSettings = Omit<Parameters<typeof dial>[0], 'backend' | 'purpose' | 'mustWrite'>

type State = ClientInfo['state'] | 'ended'

export class Session implements OpeningEvents, Sink {
  state: State = 'startup'
  client: Wire
  source: Peer
  startup: Startup | null = null
  target: Target
  backend: Backend | null = null
  tls: ClientInfo['tls'] = 'none'
  tunnel: Tunnel | null = null
  /** For the board: whether the limits on clients let it in, and whether it counts as waiting. */
  admitted: boolean | 'pending' = 'pending'
  holdsLineSlot = false
  purpose: Purpose | null = null
  phaseSinceMs: number
  heldSinceMs: number | null = null
  heldMs = 0
  connectMs = 0
  readonly id: string
  readonly listener: string
  readonly acceptedAtMs: number
  private readonly board: Board
  private opening: Opening | null = null
  private attempt: { abort(): void } | null = null
  private ahead: Buffer[] = []
  private aheadBytes = 0
  /** The question for credentials that the client has seen, while it may still be asked again. */
  private asked: Buffer | null = null
  private lastWords: string | null = null

  constructor(board: Board, id: string, listener: string, target: Target, wire: Wire, peer: Peer) {
    this.board = board
    this.id = id
    this.listener = listener
    this.target = target
    this.client = wire
    this.source = peer
    this.acceptedAtMs = performance.now()
    this.phaseSinceMs = this.acceptedAtMs
  }

  open(keepaliveMs: number): void {
    const wire = this.client
    if (this.source.host !== 'unix') {
      wire.setNoDelay(true)
      wire.setKeepAlive(true, keepaliveMs)
    }
    this.listen(false)
    wire.resume()
  }

  private listen(sslSeen: boolean): void {
    this.state = 'startup'
    this.phaseSinceMs = performance.now()
    this.opening = new Opening(this.client, this.board.openingPlan(this), this, sslSeen)
    this.client.sink = this.opening
  }

  // -- what the opening says

  onSource(host: string, port: number): void {
    this.source = { host, port }
  }

  onSecured(wire: Wire): void {
    this.client = wire
    this.tls = 'ended-here'
  }

  onStartup(startup: Startup, packet: Buffer, rest: Buffer): void {
    this.startup = startup
    const plan = this.board.openingPlan(this)
    if (plan.tls !== null && !plan.unixSocket) {
      const { mode } = plan.tls
      const optional = mode === 'allow' || mode === 'prefer'
      if (!optional && this.tls === 'none') return this.refuse(tlsRequired(), 'tls-required')
      if (mode === 'verify-full' && certificateName(this.client) !== startup.user) {
        const text = 'the common name of the client certificate is not the user name'
        return this.refuse(fatalError('28000', text), 'tls-failed')
      }
    }
    if (startup.target !== null) {
      const target = TARGETS.find((known) => known === startup.target)
      if (target === undefined) {
        return this.refuse(badTarget(startup.target, TARGETS), 'protocol-violation')
      }
      this.target = target
    }
    if (rest.length > 0) this.keepAhead(rest)
    this.wait({ kind: 'startup', bytes: packet })
  }

  onTlsForServer(kind: 'ssl-request' | 'opaque', bytes: Buffer): void {
    this.wait({ kind, bytes })
  }

  onCancel(cancel: Cancel): void {
    this.opening = null
    this.client.sink = DEAF
    this.board.cancel(this, cancel)
  }

  onViolation(what: string): void {
    this.refuse(protocolViolation(what), 'protocol-violation', what)
  }

  onTlsFailed(why: string): void {
    this.end('tls-failed', why)
  }

  onGone(failure: Error | null): void {
    const silent = this.opening?.silent === true
    this.end(silent ? 'said-nothing' : failure ? 'client-error' : 'client-closed')
  }

  // -- waiting: the session is its client's sink itself

  private wait(purpose: Purpose): void {
    this.purpose = purpose
    this.opening = null
    this.client.sink = this
    this.startHold()
    this.board.enqueue(this, false)
  }

  private startHold(): void {
    this.state = 'held'
    this.phaseSinceMs = performance.now()
    this.heldSinceMs ??= this.phaseSinceMs
  }

  onChunk(chunk: Buffer, n: number): boolean {
    this.keepAhead(copyOf(chunk, n))
    return this.aheadBytes < AHEAD_BYTES_MAX
  }

  private keepAhead(bytes: Buffer): void {
    this.ahead.push(bytes)
    this.aheadBytes += bytes.length
  }

  onEnd(): void {
    this.end('client-left-while-waiting')
  }

  onDrain(): void {}

  onClose(): void {
    this.end('client-left-while-waiting')
  }

  // -- connecting

  /** Its turn has come. */
  connectTo(backend: Backend): void {
    if (this.purpose?.kind === 'ssl-request' && this.board.plan.plainServers.has(backend)) {
      this.board.dialed(this, backend, NO_TLS)
      return this.onDialed(backend, NO_TLS)
    }
    const startedAtMs = performance.now()
    this.state = 'connecting'
    this.backend = backend
    const plan = {
      ...this.board.plan,
      backend,
      purpose: this.purpose!,
      mustWrite: backend.role === 'primary',
    }
    this.attempt = dial(plan, (result) => {
      this.attempt = null
      this.backend = null
      this.connectMs = performance.now() - startedAtMs
      this.board.dialed(this, backend, result)
      this.onDialed(backend, result)
    })
  }

  private onDialed(backend: Backend, result: DialResult): void {
    switch (result.kind) {
      case 'connected':
        if (!this.board.isDeposed(backend)) return this.establish(backend, result)
        result.server.destroy()
        return this.tryAgain()
      case 'not-yet':
        this.lastWords = result.why
        return this.tryAgain()
      case 'no-tls':
        this.client.write(ENCRYPTION_REFUSED)
        this.board.leaveLine(this)
        this.ahead = []
        return this.listen(true)
      case 'rejected':
        return this.refuse(result.answer, 'rejected-by-server', `SQLSTATE ${result.sqlstate}`)
      case 'unsafe':
        return this.refuse(
          fatalError('08006', `server connection lost: ${result.why}`),
          'server-error',
          result.why,
        )
    }
  }

  private tryAgain(): void {
    this.startHold()
    this.board.enqueue(this, true)
  }

  /** The backend it is connecting to lost its role. */
  abandonAttempt(): void {
    const { backend } = this
    if (this.attempt === null || backend === null) return
    this.attempt.abort()
    this.attempt = null
    this.backend = null
    this.board.dialed(this, backend, { kind: 'not-yet', trouble: 'reset', why: 'deposed' })
    this.tryAgain()
  }

  private establish(backend: Backend, result: DialResult & { kind: 'connected' }): void {
    const repeated = this.asked !== null
    if (repeated && !result.answer.equals(this.asked!)) {
      // The client is answering another question than this server has asked.
      result.server.destroy()
      this.leaveWith(primaryChanged(), 'primary-changed')
      return
    }
    this.state = 'established'
    this.phaseSinceMs = performance.now()
    this.heldMs = this.phaseSinceMs - this.heldSinceMs!
    this.backend = backend
    if (result.cursor === null && this.purpose!.kind !== 'startup') this.tls = 'passed-through'
    this.board.established(this, backend)
    this.asked = result.asked === 'credentials' ? result.answer : null
    const replay = this.asked === null ? null : [...this.ahead]
    this.tunnel = new Tunnel(this, this.client, result.server, result.cursor, replay)
    this.tunnel.open(repeated ? null : result.answer, this.ahead)
    this.ahead = []
    this.aheadBytes = 0
  }

  // -- what the tunnel says

  /** The server is in recovery although this client wants to write. */
  onHotStandby(): void {
    if (this.backend?.role !== 'primary') return
    this.board.sawHotStandby(this.backend)
    this.cut('hot-standby')
  }

  /** The server went away. `replay`: what the client said, if another server may be asked instead. */
  onServerGone(unexplained: boolean, replay: readonly Buffer[] | null): void {
    const backend = this.backend!
    this.forgetServer(unexplained)
    if (replay !== null) return this.replay(replay, backend)
    const tunnel = this.tunnel!
    const words = unexplained && tunnel.speaksPlainly ? serverLost(tunnel.lostWork) : null
    this.leaveWith(words, tunnel.saidGoodbye ? 'client-closed' : 'server-closed')
  }

  onClientGone(reason: 'client-closed' | 'client-error'): void {
    this.end(reason)
  }

  /** Asks another server the same: this client has not been told anything but "who are you?". */
  private replay(said: readonly Buffer[], from: Backend): void {
    this.client.sink = this
    this.client.resume()
    this.tunnel = null
    this.heldSinceMs = performance.now()
    this.ahead = [...said]
    this.aheadBytes = said.reduce((sum, bytes) => sum + bytes.length, 0)
    this.lastWords = `${from.member} went away during the login`
    this.tryAgain()
  }

  // -- endings

  /** Ends an established session whose backend must not be used any more. */
  cut(reason: CutReason): void {
    if (this.state !== 'established') return
    const tunnel = this.tunnel!
    const replay = reason === 'draining' ? null : tunnel.replay
    const plainly = tunnel.speaksPlainly
    tunnel.destroyServer()
    const backend = this.backend!
    this.forgetServer(false)
    if (replay !== null) return this.replay(replay, backend)
    const words = reason === 'draining' ? routerStopping() : primaryChanged()
    this.leaveWith(plainly ? words : null, reason)
  }

  /** It waited too long, or too many wait, or nobody may come in: says so and ends. */
  onLoginTimeout(): void {
    this.refuse(this.opening?.encrypted === false ? loginTimeout() : null, 'login-timeout')
  }

  onHoldTimeout(words: string): void {
    const text = this.lastWords === null ? words : `${words} (last attempt: ${this.lastWords})`
    const answer = this.target === 'primary' ? noPrimary(text) : noServer(this.target, text)
    this.refuse(answer, 'hold-timeout', text)
  }

  onTooMany(what: 'clients' | 'waiting'): void {
    if (what === 'clients') this.refuse(tooMany('clients already'), 'too-many-clients')
    else this.refuse(tooMany('clients wait for a server'), 'too-many-waiting')
  }

  onDraining(): void {
    this.refuse(routerStopping(), 'draining')
  }

  describe(): ClientInfo {
    return {
      id: this.id,
      listener: this.listener,
      client: this.source.host === 'unix' ? 'unix' : `${this.source.host}:${this.source.port}`,
      user: this.startup?.user ?? null,
      database: this.startup?.database ?? this.startup?.user ?? null,
      application: this.startup?.application ?? null,
      target: this.target,
      state: this.state === 'ended' ? 'closing' : this.state,
      backend: this.backend?.member ?? null,
      transaction: this.transaction,
      sinceMs: Math.round(performance.now() - this.acceptedAtMs),
      bytesIn: this.tunnel?.bytesIn ?? 0,
      bytesOut: this.tunnel?.bytesOut ?? 0,
      tls: this.tls,
    }
  }

  private get transaction(): ClientInfo['transaction'] {
    const status = this.tunnel?.cursor?.transaction ?? null
    return status === 'idle' && this.tunnel!.awaited ? 'active' : status
  }

  finishCancel(): void {
    this.leaveWith(null, 'cancel-request')
  }

  private refuse(answer: Buffer | null, reason: EndReason, words: string | null = null): void {
    this.leaveWith(this.purpose?.kind === 'opaque' ? null : answer, reason, words)
  }

  /** Says `answer`, closes after it has left, and drops the socket of a client that never reads it. */
  private leaveWith(answer: Buffer | null, reason: EndReason, words: string | null = null): void {
    if (this.state === 'ended') return
    const wire = this.client
    this.end(reason, words, false)
    wire.sink = CLOSING
    if (wire.destroyed) return
    if (answer === null && !FLUSHES.has(reason)) {
      wire.destroy()
      return
    }
    if (answer === null) wire.end()
    else wire.end(answer)
    wire.resume() // closing with unread bytes would reset the connection and lose the answer
    let timer = setTimeout(() => wire.destroy(), FLUSH_MS)
    wire.once('finish', () => {
      clearTimeout(timer)
      if (wire.readableEnded) wire.destroy()
      else timer = setTimeout(() => wire.destroy(), LINGER_MS)
    })
    wire.once('end', () => wire.destroySoon())
    wire.once('close', () => clearTimeout(timer))
  }

  private end(reason: EndReason, words: string | null = null, drop = true): void {
    if (this.state === 'ended') return
    this.attempt?.abort()
    if (this.attempt !== null) {
      this.board.dialed(this, this.backend!, { kind: 'not-yet', trouble: 'reset', why: '' })
      this.backend = null
    }
    this.attempt = null
    this.tunnel?.destroyServer()
    const last = this.backend
    this.forgetServer(false)
    this.backend = last
    this.board.leaveLine(this)
    this.state = 'ended'
    this.board.ended(this, reason, words)
    if (!drop) return
    this.client.sink = DEAF
    this.client.destroy()
  }

  private forgetServer(unexplained: boolean): void {
    if (this.state !== 'established' || this.backend === null) return
    this.board.serverGone(this, this.backend, unexplained)
    this.state = 'closing'
  }
}

const NO_TLS: DialResult = { kind: 'no-tls' }

/** Ends that leave the client what was already on its way to it. */
const FLUSHES: ReadonlySet<EndReason> = new Set([
  'server-closed',
  'client-closed',
  'cancel-request',
])

/** A client that has been told its last word: whatever it says is read and dropped. */
const CLOSING: Sink = { onChunk: () => true, onEnd() {}, onDrain() {}, onClose() {} }
