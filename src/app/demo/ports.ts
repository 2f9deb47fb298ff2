/**
 * Which ports a local cluster takes. A block of ten for etcd and one for each node:
 *
 *   base + 0, + 1            etcd: clients, peers
 *   base + 10 * i + 0        node i: write listener of its router
 *                  + 1       read listener
 *                  + 2       kept for a pooled listener
 *                  + 3       REST of pgsteer
 *                  + 5       PostgreSQL
 *                  + 8       REST of Patroni
 */
import { createServer } from 'node:net'

export const NODES_MAX = 9

export type NodePorts = {
  readonly write: number
  readonly read: number
  readonly pooled: number
  readonly rest: number
  readonly postgres: number
  readonly patroni: number
}
export type ClusterPorts = {
  readonly etcd: { readonly client: number; readonly peer: number }
  readonly nodes: readonly NodePorts[]
}

export function planPorts(base: number, nodes: number): ClusterPorts {
  return {
    etcd: { client: base, peer: base + 1 },
    nodes: Array.from({ length: nodes }, (_, index) => {
      const at = base + 10 * (index + 1)
      return {
        write: at,
        read: at + 1,
        pooled: at + 2,
        rest: at + 3,
        postgres: at + 5,
        patroni: at + 8,
      }
    }),
  }
}

export function allPorts({ etcd, nodes }: ClusterPorts): number[] {
  return [etcd.client, etcd.peer, ...nodes.flatMap((node) => Object.values(node))]
}

/** Those of `ports` on the loopback address that something listens on already. */
export async function takenPorts(ports: readonly number[]): Promise<number[]> {
  const free = await Promise.all(ports.map(isFree))
  return ports.filter((_, index) => free[index] === false)
}

/** A port counts as free when the wildcard address can be bound: any listener there is in the way. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '0.0.0.0', exclusive: true }, () =>
      server.close(() => resolve(true)),
    )
  })
}
