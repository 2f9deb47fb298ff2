/**
 * Finds the sockets that a library opens on our behalf, so that they can be destroyed. gRPC has no
 * way to give up a connection that is still being made: behind a network that swallows packets each
 * attempt would keep a socket, and the process, for two minutes.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'

export type SocketOwner = {
  /** Runs `work`; every TCP connection it causes, now or later, belongs to this owner. */
  run<T>(work: () => T): T
  /** Runs `work` as if not called from here: what a callback of gRPC starts is not gRPC's. */
  outside<T>(work: () => T): T
  /** Destroys what is still open. */
  destroyAll(): void
}

type Owned = Set<Socket>

const owners = new AsyncLocalStorage<Owned | undefined>()

// Node publishes every client socket synchronously in the context that connects it.
subscribe('net.client.socket', (message) => {
  const owned = owners.getStore()
  if (owned === undefined) return
  const { socket } = message as { socket: Socket }
  owned.add(socket)
  socket.once('close', () => owned.delete(socket))
})

export function createSocketOwner(): SocketOwner {
  const owned: Owned = new Set()
  return {
    run: (work) => owners.run(owned, work),
    outside: (work) => owners.run(undefined, work),
    destroyAll() {
      for (const socket of owned) socket.destroy()
    },
  }
}
