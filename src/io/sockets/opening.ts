/**
 * What a client says before its startup packet is complete: PROXY header, requests for encryption,
 * a cancel request, the startup packet itself, split at any byte. Collects at most a startup packet
 * and a PROXY header; the caller limits the time.
 */
import { type SecureContext, TLSSocket } from 'node:tls'
import type { ClientTls } from '../../core/fleet/messages.ts'
import { ENCRYPTION_REFUSED, TLS_ACCEPTED } from '../../core/pgwire/messages.ts'
import { PROXY_V2_BYTES_MAX, parseProxyHeader } from '../../core/pgwire/proxy-protocol.ts'
import {
  type Cancel,
  parseOpening,
  STARTUP_BYTES_MAX,
  type Startup,
} from '../../core/pgwire/startup.ts'
import { DEAF, type PlainWire, type Sink, tlsWire, type Wire } from './wire.ts'

const ALPN = 'postgresql'
/** A startup packet may be followed by the first message; PROXY header and packet come together. */
const COLLECTED_BYTES_MAX = STARTUP_BYTES_MAX + PROXY_V2_BYTES_MAX

export type OpeningPlan = {
  /** The peer is trusted to say, in a PROXY header, where the client really comes from. */
  readonly proxyHeader: boolean
  /** Null: TLS passes through to the server. */
  readonly tls: { readonly mode: ClientTls['mode']; readonly context: SecureContext } | null
  readonly unixSocket: boolean
}

export interface OpeningEvents {
  onSource(host: string, port: number): void
  /** TLS ends here from now on: the connection goes on with another wire. */
  onSecured(wire: Wire): void
  onStartup(startup: Startup, packet: Buffer, rest: Buffer): void
  onCancel(cancel: Cancel): void
  /** The client wants TLS with the server itself; `bytes` is all it has said. */
  onTlsForServer(kind: 'ssl-request' | 'opaque', bytes: Buffer): void
  onViolation(what: string): void
  onTlsFailed(why: string): void
  /** TLS works, but the certificate does not let this client in. */
  onCertificateRefused(why: string): void
  /** Our own fault: it ends this connection and no other. */
  onBug(error: unknown): void
  onGone(failure: Error | null): void
}

export class Opening implements Sink {
  private collected: Buffer
  private wire: Wire
  private proxyHeader: boolean
  private sslSeen = false
  private gssSeen = false
  private securing = false
  private readonly plan: OpeningPlan
  private readonly events: OpeningEvents

  /** `sslSeen`: its SSLRequest was already answered with no; it starts again without. */
  constructor(wire: Wire, plan: OpeningPlan, events: OpeningEvents, sslSeen = false) {
    this.wire = wire
    this.plan = plan
    this.events = events
    this.collected = NOTHING
    this.proxyHeader = plan.proxyHeader && !sslSeen
    this.sslSeen = sslSeen
  }

  /** Whether it said anything at all. */
  get silent(): boolean {
    return this.collected.length === 0 && !this.sslSeen && !this.gssSeen
  }

  /** An error can be said now and will be understood: no handshake is under way. */
  get understands(): boolean {
    return !this.securing
  }

  private get encrypted(): boolean {
    return this.wire instanceof TLSSocket
  }

  onChunk(chunk: Buffer, n: number): boolean {
    this.collected = Buffer.concat([this.collected, chunk.subarray(0, n)])
    if (this.collected.length > COLLECTED_BYTES_MAX && !this.securing) {
      this.events.onViolation('more data than a startup packet can have')
      return true // it was told why, and must be read until it has understood
    }
    if (this.proxyHeader && !this.readProxyHeader()) return true
    while (this.step());
    return true
  }

  onEnd(): void {
    if (this.securing) this.events.onTlsFailed('the handshake was not finished')
    else this.events.onGone(null)
  }

  onDrain(): void {}

  onClose(failure: Error | null): void {
    if (this.securing) this.events.onTlsFailed(failure?.message ?? 'the handshake was not finished')
    else this.events.onGone(failure)
  }

  onBug(error: unknown): void {
    this.events.onBug(error)
  }

  private readProxyHeader(): boolean {
    const header = parseProxyHeader(this.collected)
    if (header.kind === 'need-more') return false
    if (header.kind === 'violation') {
      this.events.onViolation(header.what)
      return false
    }
    this.proxyHeader = false
    this.collected = this.collected.subarray(header.size)
    if (header.source !== null) this.events.onSource(header.source.host, header.source.port)
    return true
  }

  /** Deals with one packet; true if there may be another one to deal with here. */
  private step(): boolean {
    const opening = parseOpening(this.collected)
    switch (opening.kind) {
      case 'need-more':
        return false
      case 'violation':
        this.events.onViolation(opening.what)
        return false
      case 'cancel':
        this.events.onCancel(opening)
        return false
      case 'startup': {
        const packet = Buffer.from(this.collected.subarray(0, opening.size))
        this.events.onStartup(opening, packet, Buffer.from(this.collected.subarray(opening.size)))
        return false
      }
      case 'gssenc-request':
        return this.refuseGss()
      case 'ssl-request':
        return this.onSslRequest()
      case 'direct-tls':
        return this.onDirectTls()
    }
  }

  private refuseGss(): boolean {
    if (this.gssSeen || this.encrypted) return this.violation('a second request for GSS encryption')
    this.gssSeen = true
    return this.refuse()
  }

  /** Answers no; what the client sent after its request without waiting is not trusted. */
  private refuse(): boolean {
    if (this.collected.length > 8) return this.violation('data after a request for encryption')
    this.collected = NOTHING
    this.wire.write(ENCRYPTION_REFUSED)
    return false
  }

  private onSslRequest(): boolean {
    if (this.sslSeen || this.encrypted) return this.violation('a second SSLRequest')
    this.sslSeen = true
    if (this.plan.unixSocket) return this.refuse()
    if (this.collected.length > 8) return this.violation('data after a request for encryption')
    if (this.plan.tls === null) {
      this.events.onTlsForServer('ssl-request', Buffer.from(this.collected))
      return false
    }
    this.collected = NOTHING
    this.wire.write(TLS_ACCEPTED)
    this.secure(this.plan.tls, false)
    return false
  }

  private onDirectTls(): boolean {
    if (this.encrypted || this.sslSeen)
      return this.violation('TLS where a startup packet must come')
    if (this.plan.tls === null || this.plan.unixSocket) {
      this.events.onTlsForServer('opaque', Buffer.from(this.collected))
      return false
    }
    this.wire.pause() // flowing, it would lose what is put back
    this.wire.unshift(this.collected)
    this.collected = NOTHING
    this.secure(this.plan.tls, true)
    return false
  }

  private secure(tls: NonNullable<OpeningPlan['tls']>, direct: boolean): void {
    const plain = this.wire as PlainWire
    const verifies = tls.mode === 'verify-ca' || tls.mode === 'verify-full'
    plain.sink = DEAF
    const socket = new TLSSocket(plain, {
      isServer: true,
      secureContext: tls.context,
      ALPNProtocols: [ALPN],
      requestCert: verifies,
      rejectUnauthorized: false, // judged below, so that the reason can be said
    })
    const wire = tlsWire(socket)
    this.securing = true
    this.wire = wire
    wire.sink = this
    socket.once('secure', () => this.onSecure(socket, wire, verifies, direct))
    socket.on('_tlsError', (error: Error) => {
      wire.failure ??= error
      socket.destroy()
    })
    this.events.onSecured(wire)
    wire.resume()
  }

  private onSecure(socket: TLSSocket, wire: Wire, verifies: boolean, direct: boolean): void {
    this.securing = false
    if (direct && socket.alpnProtocol !== ALPN) {
      this.events.onTlsFailed(`direct TLS without the protocol ${ALPN} in ALPN`)
    } else if (verifies && verifyError(socket) !== null) {
      this.events.onCertificateRefused(verifyError(socket)!)
    } else wire.resume()
  }

  private violation(what: string): false {
    this.events.onViolation(what)
    return false
  }
}

/** The common name in the client's certificate; null without one. */
export function certificateName(wire: Wire): string | null {
  if (!(wire instanceof TLSSocket)) return null
  const name = wire.getPeerCertificate()?.subject?.CN
  return typeof name === 'string' ? name : null
}

function verifyError(socket: TLSSocket): string | null {
  const inside = socket as unknown as { _handle: { verifyError(): Error | null } | null }
  if (Object.keys(socket.getPeerCertificate() ?? {}).length === 0) return 'none was presented'
  const error = inside._handle?.verifyError()
  return error ? error.message : null
}

const NOTHING = Buffer.alloc(0)
