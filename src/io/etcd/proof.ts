/**
 * Proofs of life. Every second one small *linearizable* read asks the quorum, through the very
 * connection that carries the watch, whether the store holds something the view does not. One read
 * so finds a silent peer, a member cut off from the quorum, a watch that went deaf, and a store that
 * was replaced. A gRPC ping or a progress notification would find only the first.
 */
import type { Endpoint } from './endpoint.ts'
import { EtcdError } from './errors.ts'
import { prefixEnd, readRevision } from './load.ts'

export const PROOF_INTERVAL_MS = 1000
export const PROOF_DEADLINE_MS = 1500

/** What the proof compares: the newest change in the view, and how many keys it has. */
export type Seen = { readonly revision: number; readonly keys: number }

export type Proof = {
  readonly clusterId: string
  /** Revision of the whole store. */
  readonly revision: number
  /** Newest change under the prefix after the one asked for; 0 if there is none. */
  readonly newest: number
  readonly keys: number
}

/** Asks for what changed after `afterRevision`. Throws `EtcdError`. */
export async function readProof(
  endpoint: Endpoint,
  prefix: string,
  afterRevision: number,
): Promise<Proof> {
  const key = Buffer.from(prefix)
  const reply = await endpoint.range(
    {
      key,
      range_end: prefixEnd(key),
      min_mod_revision: afterRevision + 1,
      sort_target: 'Mod',
      sort_order: 'Descend',
      limit: 1,
      keys_only: true,
    },
    PROOF_DEADLINE_MS,
  )
  const newest = reply.kvs[0]
  return {
    clusterId: reply.header.cluster_id,
    revision: readRevision(reply.header.revision),
    newest: newest === undefined ? 0 : readRevision(newest.mod_revision),
    keys: Number(reply.count),
  }
}

/**
 * The revision the watch still owes, or null if the view shows all that the proof saw. A view that
 * is already past the proof owes nothing: the answer is older than the view.
 */
export function owedRevision(seen: Seen, proof: Proof): number | null {
  if (proof.revision <= seen.revision) return null
  if (proof.newest > seen.revision) return proof.newest
  return proof.keys === seen.keys ? null : seen.revision + 1
}

/** Why the proof cannot be of the store that was loaded; null if it can. */
export function otherStore(
  asked: { readonly revision: number; readonly clusterId: string },
  proof: Proof,
): EtcdError | null {
  if (proof.clusterId !== asked.clusterId)
    return new EtcdError('store-changed', `cluster id ${proof.clusterId}, was ${asked.clusterId}`)
  if (proof.revision < asked.revision)
    return new EtcdError('store-changed', `revision ${proof.revision} after ${asked.revision}`)
  return null
}
