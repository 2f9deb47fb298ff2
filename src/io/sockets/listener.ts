/**
 * Opens the ports of a listener. Every worker binds the same TCP ports (SO_REUSEPORT), so the kernel
 * spreads new connections and a dead worker takes only its own with it. A unix socket can belong to
 * one worker only: it is bound under a private name and renamed over the public one, so that a path
 * changes hands without a moment in which it refuses.
 */
import { chmodSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import net from 'node:net'
import { dirname } from 'node:path'
import type { ListenAddress } from '../../core/fleet/messages.ts'
import { PlainWire, type Wire } from './wire.ts'

const BACKLOG = 4096

export type OpenPort = {
  readonly address: ListenAddress
  /** Stops accepting, at once: what waits in the kernel's queue for this port is reset. */
  close(): Promise<void>
}

type Accept = (wire: Wire, peer: Peer) => void
/** Where a client comes from; `host` is `unix` for a unix socket. */
export type Peer = { readonly host: string; readonly port: number }

/** Binds one address. Rejects with Node's error (`EADDRINUSE`, `EACCES`, …) when it can't. */
export async function openPort(address: ListenAddress, accept: Accept): Promise<OpenPort> {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true })
  if (address.kind === 'unix') await bindPath(server, address.path)
  else await bind(server, { ...address, reusePort: true, backlog: BACKLOG })
  server.on('error', () => {}) // a failed accept (out of descriptors) must not end the worker
  takeOver(server, address.kind === 'unix', accept)
  return { address, close: () => closeNow(server) }
}

function bind(server: net.Server, options: net.ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function bindPath(server: net.Server, path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true })
  const own = `${path}.${process.pid}`
  rmSync(own, { force: true })
  await bind(server, { path: own, backlog: BACKLOG })
  chmodSync(own, 0o777) // who may log in is PostgreSQL's decision, as for its own socket
  renameSync(own, path)
}

/**
 * Node's server would build an ordinary socket for each connection; taking its place saves that and
 * reads into the shared buffer from the first byte. Where Node's inside changed, the ordinary event
 * is used and the connection is wrapped again.
 */
function takeOver(server: net.Server, unix: boolean, accept: Accept): void {
  const inside = server as unknown as { _handle?: { onconnection?: unknown } }
  const wrap = (handle: Handle): void => {
    const wire = new PlainWire({ handle, pauseOnCreate: true })
    accept(wire, unix ? UNIX_PEER : peerOf(handle))
  }
  if (typeof inside._handle?.onconnection === 'function') {
    inside._handle.onconnection = (error: unknown, handle: Handle | undefined) => {
      if (!error && handle !== undefined) wrap(handle)
    }
  } else {
    server.on('connection', (socket) => {
      const outside = socket as unknown as { _handle: Handle | null }
      const handle = outside._handle!
      outside._handle = null
      wrap(handle)
    })
  }
}

type Handle = { getpeername?(out: { address?: string; port?: number }): number }

const UNIX_PEER: Peer = { host: 'unix', port: 0 }

function peerOf(handle: Handle): Peer {
  const out: { address?: string; port?: number } = {}
  handle.getpeername?.(out)
  if (out.address === undefined) return { host: 'gone', port: 0 } // it left while it was accepted
  return { host: out.address.replace(/^::ffff:/, ''), port: out.port ?? 0 }
}

/** At once: each turn of the event loop more, connections come in that closing would reset. */
function closeNow(server: net.Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}
