/**
 * The control socket: the unix socket in the run directory that workers dial. It is bound under a
 * private name and renamed into place, so a successor can take the name over without a moment in
 * which it is missing, and whoever leaves removes the name only while it is still its own.
 */
import { renameSync, rmSync, statSync } from 'node:fs'
import net, { type Server, type Socket } from 'node:net'
import { readMessages, sendMessage } from './lines.ts'

export type Peer = {
  send(message: object): boolean
  close(): void
}

export type ControlSocket = {
  /** Stops listening and ends every connection. */
  close(): void
  /** True while the name in the file system leads to us. */
  ownsName(): boolean
}

export type ControlHandlers = {
  onMessage(peer: Peer, message: object): void
  onClosed(peer: Peer): void
}

/** Longest path that fits `sun_path`, less the private suffix. */
export const SOCKET_PATH_BYTES_MAX = 96
const DIAL_MS = 1000
const CONNECTIONS_MAX = 1024

/** Listens on `path`; rejects with Node's error when that can't be. */
export async function openControlSocket(
  path: string,
  handlers: ControlHandlers,
): Promise<ControlSocket> {
  const sockets = new Set<Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    const peer = greet(socket, handlers)
    socket.on('close', () => {
      sockets.delete(socket)
      handlers.onClosed(peer)
    })
  })
  server.maxConnections = CONNECTIONS_MAX
  const ownPath = `${path}.${process.pid}`
  rmSync(ownPath, { force: true })
  await listen(server, ownPath)
  const inode = statSync(ownPath).ino
  renameSync(ownPath, path)
  const ownsName = () => statSync(path, { throwIfNoEntry: false })?.ino === inode
  return {
    ownsName,
    close() {
      if (ownsName()) rmSync(path, { force: true })
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Dials a control socket; null when nobody listens there. */
export function dialControl(path: string): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = net.connect(path)
    const deadline = setTimeout(() => socket.destroy(new Error('no answer')), DIAL_MS)
    socket.once('error', () => {
      clearTimeout(deadline)
      resolve(null)
    })
    socket.once('connect', () => {
      clearTimeout(deadline)
      socket.on('error', () => undefined)
      resolve(socket)
    })
  })
}

/** A living control process already answers on `path`. */
export async function isAnswered(path: string): Promise<boolean> {
  const socket = await dialControl(path)
  socket?.destroy()
  return socket !== null
}

function greet(socket: Socket, handlers: ControlHandlers): Peer {
  const peer: Peer = {
    send: (message) => sendMessage(socket, message),
    close: () => void socket.destroy(),
  }
  socket.on('error', () => undefined) // 'close' follows and is handled
  readMessages(socket, (message) => handlers.onMessage(peer, message))
  return peer
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      server.on('error', () => undefined)
      resolve()
    })
  })
}
