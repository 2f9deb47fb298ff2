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
import { ENCRYPTION_REFUSED } from '../../core/pgwire/messages.ts'
import type { Cancel, Startup } from '../../core/pgwire/startup.ts'
import type { Backend, Target } from '../../core/routing/types.ts'
import type { Board } from './board.ts'
import { type DialResult, dial, type Purpose } from './dial.ts'
import { ENDINGS, type Ending, isFlushed, judgeStartup, knownTarget } from './endings.ts'
import { farewell } from './farewell.ts'
import type { Peer } from './listener.ts'
import { Opening, type OpeningEvents } from './opening.ts'
import { type CutReason, Tunnel } from './tunnel.ts'
import { copyOf, DEAF, type Sink, type Wire } from './wire.ts'

/** What a client may send ahead while it waits. */
const AHEAD_BYTES_MAX = 16 * 1024
/** So often a login that a server dropped is begun again on another one, unseen by the client. */
const REPLAYS_MAX = 5

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
  /** For the lines: its place among all that ever waited; 0 before it waits. */
  ticket = 0
  purpose: Purpose | null = null
  phaseSinceMs: number
  heldSinceMs: number | null = null
  /** From the wish to connect until the last attempt began, or until it gave up. */
  heldMs = 0
  /** How long the last attempt took. */
  connectMs = 0
  /** Came in by a unix socket, whatever a PROXY header says of where it began. */
  readonly viaUnixSocket: boolean
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
  private replays = 0
  private attemptSinceMs = 0
  private lastWords: string | null = null

  constructor(board: Board, id: string, listener: string, target: Target, wire: Wire, peer: Peer) {
    this.board = board
    this.id = id
    this.listener = listener
    this.target = target
    this.client = wire
    this.source = peer
    this.viaUnixSocket = peer.host === 'unix'
    this.acceptedAtMs = performance.now()
    this.phaseSinceMs = this.acceptedAtMs
  }

  open(keepaliveMs: number): void {
    const wire = this.client
    if (!this.viaUnixSocket) {
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
    const { tls } = this.board.openingPlan(this)
    const mode = this.viaUnixSocket ? null : (tls?.mode ?? null)
    const refusal = judgeStartup(startup, mode, this.client, this.tls !== 'none')
    if (refusal !== null) return this.refuse(refusal)
    if (startup.target !== null) this.target = knownTarget(startup.target)!
    if (rest.length > 0) this.keepAhead(rest)
    this.wait({ kind: 'startup', bytes: packet, clientHasTls: this.tls === 'ended-here' })
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
    this.refuse(ENDINGS.violation(what))
  }

  onTlsFailed(why: string): void {
    this.end('tls-failed', why)
  }

  onCertificateRefused(why: string): void {
    this.refuse(ENDINGS.certificateRefused(why))
  }

  onBug(error: unknown): void {
    this.end('bug', error instanceof Error ? (error.stack ?? error.message) : String(error))
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
    this.board.enqueue(this)
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
    this.attemptSinceMs = performance.now()
    this.heldMs = this.attemptSinceMs - this.heldSinceMs!
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
      this.connectMs = performance.now() - this.attemptSinceMs
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
        this.aheadBytes = 0
        return this.listen(true)
      case 'rejected':
      case 'unsafe':
        this.backend = backend
        return this.refuse(ENDINGS.refusedByServer(result))
    }
  }

  private tryAgain(): void {
    this.startHold()
    this.board.enqueue(this)
  }

  /** The backend it is connecting to lost its role. */
  abandonAttempt(): void {
    const { backend } = this
    if (this.attempt === null || backend === null) return
    this.attempt.abort()
    this.attempt = null
    this.backend = null
    this.board.dialed(this, backend, null)
    this.tryAgain()
  }

  private establish(backend: Backend, result: DialResult & { kind: 'connected' }): void {
    const repeated = this.asked !== null
    if (repeated && !result.answer.equals(this.asked!)) {
      // The client is answering another question than this server has asked.
      result.server.destroy()
      this.leave(ENDINGS.otherQuestion())
      return
    }
    this.state = 'established'
    this.phaseSinceMs = performance.now()
    this.backend = backend
    if (result.cursor === null && this.purpose!.kind !== 'startup') this.tls = 'passed-through'
    this.board.established(this, backend)
    this.asked = result.asked === 'credentials' ? result.answer : null
    const replay = this.asked === null ? null : [...this.ahead]
    this.tunnel = new Tunnel(this, this.client, result.server, result.cursor, replay)
    const { ahead } = this
    this.ahead = []
    this.aheadBytes = 0
    this.tunnel.open(repeated ? null : result.answer, ahead)
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
    if (replay !== null && this.mayReplay()) return this.replay(replay, backend)
    this.leave(ENDINGS.serverGone(this.tunnel!, unexplained))
  }

  onClientGone(reason: 'client-closed' | 'client-error'): void {
    // Many clients say goodbye and close without reading what the server answers to that.
    this.end(this.tunnel!.saidGoodbye ? 'client-closed' : reason)
  }

  private mayReplay(): boolean {
    return ++this.replays <= REPLAYS_MAX
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
    if (replay !== null && this.mayReplay()) return this.replay(replay, backend)
    this.leave(ENDINGS.cut(reason, plainly))
  }

  /** Says why and ends, before any server was reached. */
  refuse(why: Ending): void {
    const understands = this.opening?.understands !== false && this.purpose?.kind !== 'opaque'
    this.leave(understands ? why : { ...why, answer: null })
  }

  onHoldTimeout(words: string): void {
    this.refuse(ENDINGS.holdTimeout(this.target, words, this.lastWords))
  }

  private leave(why: Ending): void {
    if (this.state === 'ended') return
    const leaving = isFlushed(why)
    this.finish(why.reason, why.words, leaving)
    if (leaving) farewell(this.client, why.answer, this.board.crowded, () => this.board.left())
    else this.drop()
  }

  private end(reason: EndReason, words: string | null = null): void {
    if (this.state === 'ended') return
    this.finish(reason, words, false)
    this.drop()
  }

  private drop(): void {
    this.client.sink = DEAF
    this.client.destroy()
  }

  /** Gives back whatever it holds of the worker and reports its end. */
  private finish(reason: EndReason, words: string | null, leaving: boolean): void {
    if (this.state === 'held') this.heldMs = performance.now() - this.heldSinceMs!
    if (this.attempt !== null) {
      this.connectMs = performance.now() - this.attemptSinceMs
      this.attempt.abort()
      this.attempt = null
      this.board.dialed(this, this.backend!, null)
    }
    this.tunnel?.destroyServer()
    this.forgetServer(false)
    this.board.leaveLine(this)
    this.state = 'ended'
    this.board.ended(this, reason, words, leaving)
  }

  private forgetServer(unexplained: boolean): void {
    if (this.state !== 'established' || this.backend === null) return
    this.board.serverGone(this, this.backend, unexplained)
    this.state = 'closing'
  }
}

const NO_TLS: DialResult = { kind: 'no-tls' }
