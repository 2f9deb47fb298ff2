/** Servers that speak just enough of PostgreSQL's protocol to behave oddly on purpose. */
import net from 'node:net'
import { errorResponse } from '../../src/core/pgwire/errors.ts'
import { frame } from '../../src/core/pgwire/messages.ts'
import { CANCEL_REQUEST_CODE, SSL_REQUEST_CODE } from '../../src/core/pgwire/startup.ts'
import type { Rig } from './processes.ts'
import { RawPeer } from './raw-peer.ts'

export type Script = (peer: RawPeer, startup: Buffer, server: FakeServer) => void | Promise<void>

/** Answers SSLRequest with no, keeps cancel requests, hands everything else to its script. */
export class FakeServer {
  script: Script
  readonly port: number
  readonly cancels: Buffer[] = []
  readonly peers: RawPeer[] = []
  /** Startup packets received. */
  readonly startups: Buffer[] = []
  accepted = 0
  /** What it says to SSLRequest; after `S` everything is the script's. */
  tlsAnswer: 'N' | 'S' = 'N'
  /** Takes the connection over from the first byte. */
  onRaw: ((peer: RawPeer) => void | Promise<void>) | null = null
  /** Takes it over at an SSLRequest. */
  onSslRequest: ((peer: RawPeer) => void) | null = null
  /** Most connections that were open and unanswered at once. */
  mostAtOnce = 0
  atOnce = 0
  #server: net.Server | null = null

  constructor(port: number, script: Script) {
    this.port = port
    this.script = script
  }

  async listen(): Promise<void> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.accepted++
      void this.#serve(new RawPeer(socket))
    })
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.port, '127.0.0.1', 4096, resolve)
    })
  }

  /** Refuses connections from now on; `reset`: also ends those it has. */
  async close(reset = true): Promise<void> {
    const server = this.#server
    this.#server = null
    if (reset) for (const peer of this.peers.splice(0)) peer.reset()
    const closed = new Promise<void>((resolve) => server?.close(() => resolve()))
    if (reset && server !== null) await closed
  }

  async #serve(peer: RawPeer): Promise<void> {
    this.peers.push(peer)
    this.atOnce++
    this.mostAtOnce = Math.max(this.mostAtOnce, this.atOnce)
    peer.socket.once('close', () => void this.atOnce--)
    try {
      if (this.onRaw !== null) return await this.onRaw(peer)
      for (;;) {
        const packet = await peer.packet()
        const code = packet.readUInt32BE(4)
        if (code === SSL_REQUEST_CODE) {
          if (this.onSslRequest !== null) return this.onSslRequest(peer)
          peer.write(this.tlsAnswer)
          if (this.tlsAnswer === 'S') return await this.#perform(peer, packet)
        } else if (code === CANCEL_REQUEST_CODE) {
          this.cancels.push(packet)
          return peer.close()
        } else {
          this.startups.push(packet)
          return await this.#perform(peer, packet)
        }
      }
    } catch {
      peer.close() // it left, as routers do
    }
  }

  /** A script that has nothing more to say leaves the connection open until the other side ends it. */
  async #perform(peer: RawPeer, packet: Buffer): Promise<void> {
    await this.script(peer, packet, this)
    await peer.end(60_000)
    peer.close()
  }
}

export async function startFakeServer(rig: Rig, script: Script, port = rig.takePorts(1)) {
  const server = new FakeServer(port, script)
  await server.listen()
  rig.defer(() => server.close())
  started.add(server)
  return server
}

const started = new Set<FakeServer>()

/** Ends every connection of every fake server of this process. */
export function resetFakeServers(): void {
  for (const server of started) for (const peer of server.peers.splice(0)) peer.reset()
}

export const AUTHENTICATION_OK = frame('R', Buffer.from([0, 0, 0, 0]))
export const READY = frame('Z', Buffer.from('I'))
export const SASL_QUESTION = frame(
  'R',
  Buffer.concat([Buffer.from([0, 0, 0, 10]), Buffer.from('SCRAM-SHA-256\0\0')]),
)

export function parameterStatus(name: string, value: string): Buffer {
  return frame('S', Buffer.from(`${name}\0${value}\0`))
}

export function keyData(pid: number, key: Buffer): Buffer {
  const head = Buffer.alloc(4)
  head.writeInt32BE(pid)
  return frame('K', Buffer.concat([head, key]))
}

export function loginAnswer(hotStandby: 'on' | 'off' = 'off', pid = 1, key = Buffer.from('key!')) {
  const status = parameterStatus('in_hot_standby', hotStandby)
  return Buffer.concat([AUTHENTICATION_OK, status, keyData(pid, key), READY])
}

/** Lets everyone in and answers each query with its own text. */
export function echoScript(name: string, hotStandby: 'on' | 'off' = 'off'): Script {
  return async (peer, _startup, server) => {
    peer.write(loginAnswer(hotStandby))
    server.atOnce--
    peer.socket.once('close', () => void server.atOnce++)
    for (;;) {
      const { type, payload } = await peer.message()
      if (type === 'X') return peer.close()
      const text = `${name}:${payload.toString('utf8', 0, payload.length - 1)}`
      peer.write(Buffer.concat([frame('C', Buffer.from(`${text}\0`)), READY]))
    }
  }
}

export function fatal(sqlstate: string, text: string): Buffer {
  return errorResponse('FATAL', sqlstate, text)
}
