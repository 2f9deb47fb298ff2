/**
 * One attempt to open a server connection for a client, up to the point where the server's first
 * answer may be shown. Until then nothing was said to the client, so whatever fails here can be
 * tried again, elsewhere or later, and the client only waits.
 */
import { isIP } from 'node:net'
import type { SecureContext } from 'node:tls'
import tls, { TLSSocket } from 'node:tls'
import type { ServerTls } from '../../core/fleet/messages.ts'
import {
  FIRST_ANSWER_BYTES_MAX,
  readFirstAnswer,
  readTlsAnswer,
  splitTrustLogin,
  withoutChannelBinding,
} from '../../core/pgwire/first-answer.ts'
import { SSL_REQUEST } from '../../core/pgwire/messages.ts'
import { ServerCursor } from '../../core/pgwire/server-stream.ts'
import type { Backend, TroubleKind } from '../../core/routing/types.ts'
import { DEAF, PlainWire, type Sink, tlsWire, type Wire } from './wire.ts'

/** What the client is waiting for. */
export type Purpose =
  /** Send its startup packet and wait for the server's answer. */
  | {
      readonly kind: 'startup'
      readonly bytes: Buffer
      /**
       * Its TLS ends here. Drivers then say that they could bind their login to it, and a server
       * that could too refuses such a login over a TLS of ours: with `prefer` none is asked for.
       */
      readonly clientHasTls: boolean
    }
  /** Send its SSLRequest on: the server decides whether TLS passes through. */
  | { readonly kind: 'ssl-request'; readonly bytes: Buffer }
  /** TLS from the first byte: nothing can be read here. */
  | { readonly kind: 'opaque'; readonly bytes: Buffer }
  /** A cancel request: the server answers by closing. */
  | { readonly kind: 'cancel'; readonly bytes: Buffer }

export type DialResult =
  /** Connected; `answer` belongs to the client. `cursor` has seen it (null: opaque bytes). */
  | {
      readonly kind: 'connected'
      readonly server: Wire
      readonly answer: Buffer
      readonly cursor: ServerCursor | null
      /** The server asked for credentials and waits: the same question may come from another one. */
      readonly asked: 'credentials' | 'nothing'
    }
  /** The server does not do TLS: the client may go on without. */
  | { readonly kind: 'no-tls' }
  /** The server said no, in PostgreSQL's words. */
  | { readonly kind: 'rejected'; readonly answer: Buffer; readonly sqlstate: string }
  /** Not the client's fault: try again, elsewhere or later. */
  | {
      readonly kind: 'not-yet'
      /** Null: this machine's own fault (descriptors, ports, names), which says nothing of the server. */
      readonly trouble: TroubleKind | null
      readonly why: string
    }
  /** The connection to the server can't be made safe as configured. */
  | { readonly kind: 'unsafe'; readonly why: string }

export type DialPlan = {
  readonly backend: Backend
  readonly purpose: Purpose
  /** Wait until the server has said whether it is in recovery, where it says so unasked. */
  readonly mustWrite: boolean
  readonly connectTimeoutMs: number
  readonly answerTimeoutMs: number
  readonly keepaliveMs: number
  readonly tls: ServerTls & { readonly context: SecureContext | null }
  /** Servers known not to do TLS: saves asking each time in modes `prefer` and `allow`. */
  readonly plainServers: PlainServers
}

export type PlainServers = {
  has(backend: Backend): boolean
  add(backend: Backend): void
}

/** Starts an attempt; `done` is called exactly once, unless `abort` was called before. */
export function dial(plan: DialPlan, done: (result: DialResult) => void): { abort(): void } {
  return new Attempt(plan, done)
}

class Attempt implements Sink {
  private wire: Wire
  private received: Buffer = Buffer.alloc(0)
  private stage: 'connecting' | 'asking-tls' | 'securing' | 'answering' | 'over' = 'connecting'
  private timer: NodeJS.Timeout
  private readonly cursor = new ServerCursor()
  /** Bytes of `received` that belong to whole messages already looked at. */
  private read = 0
  private asked: 'credentials' | 'nothing' | null = null
  /** What a server said to a plain login before it was tried again with TLS (mode `allow`). */
  private plainRefusal: (DialResult & { kind: 'rejected' }) | null = null
  private readonly plan: DialPlan
  private readonly done: (result: DialResult) => void

  constructor(plan: DialPlan, done: (result: DialResult) => void) {
    this.plan = plan
    this.done = done
    this.timer = setTimeout(() => this.onTimeout(), plan.connectTimeoutMs)
    this.wire = this.connect()
  }

  private connect(): PlainWire {
    const wire = new PlainWire({})
    wire.sink = this
    wire.connect(addressOf(this.plan.backend), () => this.onConnect(wire))
    wire.setNoDelay(true)
    return wire
  }

  abort(): void {
    if (this.stage === 'over') return
    this.leave()
    this.wire.destroy()
  }

  private onConnect(wire: PlainWire): void {
    if (this.stage !== 'connecting') return
    // Only now: before there is a descriptor the delay would be forgotten.
    if (!this.plan.backend.host.startsWith('/')) wire.setKeepAlive(true, this.plan.keepaliveMs)
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.onTimeout(), this.plan.answerTimeoutMs)
    wire.resume()
    if (this.asksForTls()) {
      this.stage = 'asking-tls'
      wire.write(SSL_REQUEST)
    } else this.present()
  }

  private asksForTls(): boolean {
    const { purpose, tls, plainServers, backend } = this.plan
    if (purpose.kind === 'ssl-request') return true
    if (purpose.kind === 'opaque' || backend.host.startsWith('/')) return false
    if (this.plainRefusal !== null) return true
    if (tls.mode === 'disable' || tls.mode === 'allow') return false
    if (tls.mode !== 'prefer') return true
    if (purpose.kind === 'startup' && purpose.clientHasTls) return false
    return purpose.kind !== 'cancel' && !plainServers.has(backend)
  }

  /** Says what the client said. */
  private present(): void {
    this.stage = 'answering'
    this.wire.write(this.plan.purpose.bytes)
    const { kind } = this.plan.purpose
    if (kind === 'opaque' || kind === 'cancel') this.succeed('nothing', null)
  }

  onChunk(chunk: Buffer, n: number): boolean {
    this.received = Buffer.concat([this.received, chunk.subarray(0, n)])
    if (this.stage === 'asking-tls') this.onTlsAnswer()
    else if (this.stage === 'answering') this.onAnswer()
    if (this.received.length > FIRST_ANSWER_BYTES_MAX) this.fail('reset', 'its answer is too long')
    return true
  }

  private onTlsAnswer(): void {
    const passThrough = this.plan.purpose.kind === 'ssl-request'
    const answer = readTlsAnswer(this.received)
    if (answer.kind === 'need-more') return
    if (answer.kind === 'error') this.onAnswer()
    else if (answer.kind === 'violation') this.fail('reset', answer.what)
    else if (answer.kind === 'accepted' && passThrough) this.succeed('nothing', null)
    else if (answer.kind === 'accepted') this.secure()
    else if (passThrough) {
      this.plan.plainServers.add(this.plan.backend)
      this.end({ kind: 'no-tls' })
    } else this.goOnPlain()
  }

  private goOnPlain(): void {
    const { mode } = this.plan.tls
    this.plan.plainServers.add(this.plan.backend)
    if (this.plainRefusal !== null) return this.end(this.plainRefusal)
    if (mode === 'prefer') {
      this.received = Buffer.alloc(0)
      this.present()
    } else this.end({ kind: 'unsafe', why: `the server refused TLS and server_tls is ${mode}` })
  }

  private secure(): void {
    const { tls: settings, backend } = this.plan
    this.stage = 'securing'
    this.received = Buffer.alloc(0)
    const plain = this.wire as PlainWire
    plain.sink = DEAF
    const isName = isIP(backend.host.split('%')[0]!) === 0 // an address may not be a server name
    const socket = tls.connect({
      socket: plain,
      ...(settings.context === null ? {} : { secureContext: settings.context }),
      ...(isName ? { servername: backend.host } : {}),
      ...(settings.mode === 'verify-full'
        ? { checkServerIdentity: (_: string, cert) => tls.checkServerIdentity(backend.host, cert) }
        : { checkServerIdentity: () => undefined }),
      rejectUnauthorized: settings.mode === 'verify-ca' || settings.mode === 'verify-full',
    })
    const wire = tlsWire(socket)
    wire.sink = this
    this.wire = wire
    socket.once('secureConnect', () => {
      if (this.stage !== 'securing') return
      wire.resume()
      this.present()
    })
  }

  private onAnswer(): void {
    for (;;) {
      if (this.asked === 'nothing') return this.onLoggedIn()
      const answer = readFirstAnswer(this.received, this.read)
      if (answer.kind === 'need-more') return
      if (answer.kind === 'violation') return this.fail('reset', answer.what)
      if (answer.kind === 'refused') return this.onRefused(answer)
      const from = this.read
      this.read += answer.size
      if (answer.kind === 'auth') {
        if (answer.method === 'sasl' && this.wire instanceof TLSSocket) return this.onSasl(from)
        this.asked = answer.method === 'ok' ? 'nothing' : 'credentials'
        if (this.asked === 'credentials') return this.succeed('credentials', this.cursor)
        return this.onLoggedIn()
      }
    }
  }

  /** The TLS is ours: the client can't bind its login to it. */
  private onSasl(from: number): void {
    const question = withoutChannelBinding(this.received.subarray(from, this.read))
    const answer = [this.received.subarray(0, from), question, this.received.subarray(this.read)]
    this.succeed('credentials', this.cursor, Buffer.concat(answer))
  }

  private onRefused(answer: { notYet: boolean; sqlstate: string; message: string }): void {
    if (answer.notYet) return this.fail('starting-up', answer.message)
    const { sqlstate } = answer
    const refusal = { kind: 'rejected', answer: this.received, sqlstate } as const
    if (sqlstate === NO_ENTRY && this.mayAllowTls()) this.startOver(refusal)
    else this.end(refusal)
  }

  /** Mode `allow`: plain first, and with TLS where the server has no entry for a plain login. */
  private mayAllowTls(): boolean {
    const { purpose, tls, backend } = this.plan
    if (tls.mode !== 'allow' || purpose.kind !== 'startup' || purpose.clientHasTls) return false
    return this.plainRefusal === null && !backend.host.startsWith('/')
  }

  private startOver(refusal: DialResult & { kind: 'rejected' }): void {
    this.wire.sink = DEAF
    this.wire.destroy()
    this.plainRefusal = refusal
    this.received = Buffer.alloc(0)
    this.read = 0
    this.stage = 'connecting'
    this.wire = this.connect()
  }

  /**
   * Let in without a question: the settings that the server reports come now, and among them whether
   * it is in recovery (PostgreSQL 14 and later). A client that wants to write must not see them first.
   */
  private onLoggedIn(): void {
    if (!this.plan.mustWrite) return this.succeed('nothing', this.cursor)
    const login = splitTrustLogin(this.received)
    if (login.seenHotStandby === true) this.fail('in-hot-standby', 'it is in recovery')
    else if (login.seenHotStandby === false || login.complete || login.malformed) {
      this.succeed('nothing', this.cursor)
    }
  }

  onEnd(): void {
    this.fail('closed-before-answer', 'it closed the connection')
  }

  onDrain(): void {}

  onClose(failure: Error | null): void {
    if (this.stage === 'securing' && failure !== null && !isLostConnection(failure)) {
      this.end({ kind: 'unsafe', why: `TLS with the server failed: ${failure.message}` })
    } else this.fail(troubleOf(failure), failure?.message ?? 'it closed the connection')
  }

  onBug(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error)
    this.end({ kind: 'unsafe', why: `a fault of the router: ${why}` })
  }

  private onTimeout(): void {
    const { connectTimeoutMs, answerTimeoutMs } = this.plan
    if (this.stage === 'connecting') {
      this.fail('connect-timeout', `no connection within ${connectTimeoutMs} ms`)
    } else this.fail('connect-timeout', `no answer within ${answerTimeoutMs} ms`)
  }

  private succeed(
    asked: 'credentials' | 'nothing',
    cursor: ServerCursor | null,
    answer = this.received,
  ): void {
    cursor?.advance(this.received, this.received.length)
    this.leave()
    this.wire.pause()
    this.done({ kind: 'connected', server: this.wire, answer, cursor, asked })
  }

  private fail(trouble: TroubleKind | null, why: string): void {
    this.end({ kind: 'not-yet', trouble, why })
  }

  private end(result: DialResult): void {
    if (this.stage === 'over') return
    this.leave()
    this.wire.destroy()
    this.done(result)
  }

  private leave(): void {
    this.stage = 'over'
    clearTimeout(this.timer)
    this.wire.sink = DEAF
  }
}

/** SQLSTATE of "no pg_hba.conf entry". */
const NO_ENTRY = '28000'

function addressOf(backend: Backend): { path: string } | { host: string; port: number } {
  if (!backend.host.startsWith('/')) return { host: backend.host, port: backend.port }
  return { path: `${backend.host}/.s.PGSQL.${backend.port}` }
}

/** The connection broke, as opposed to a peer that speaks TLS we must not accept. */
function isLostConnection(failure: Error): boolean {
  return LOST_CONNECTION.has((failure as NodeJS.ErrnoException).code ?? '')
}

const LOST_CONNECTION = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'])

const OWN_FAULTS = new Set([
  ...['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EAGAIN', 'EADDRNOTAVAIL', 'EACCES', 'EPERM'],
  ...['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_MEMORY'],
])

function troubleOf(failure: Error | null): TroubleKind | null {
  const code = (failure as NodeJS.ErrnoException | null)?.code
  if (code !== undefined && OWN_FAULTS.has(code)) return null
  if (code === 'ECONNREFUSED' || code === 'ENOENT') return 'refused'
  if (code === 'ETIMEDOUT' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH') {
    return 'connect-timeout'
  }
  return 'reset'
}
