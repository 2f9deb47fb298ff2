/**
 * What was read so far, kept across connections: the snapshot and of which store it is. Pure steps
 * from one `Known` to the next; a snapshot handed out is never changed afterwards.
 */
import type { KeyValue, Snapshot } from '../../core/cluster/types.ts'
import type { Loaded } from './load.ts'
import type { Change } from './watch.ts'

export type Known = {
  readonly clusterId: string
  /** Highest revision of the store that a quorum showed us, also by proofs. */
  readonly highest: number
  readonly snapshot: Snapshot
}

/** Takes a fresh load. `store` grows by one if it cannot be a later state of the same store. */
export function adoptLoad(before: Known | null, loaded: Loaded): Known {
  const { revision, entries, clusterId } = loaded
  const store = before === null ? 0 : before.snapshot.store + (isSameStore(before, loaded) ? 0 : 1)
  return { clusterId, highest: revision, snapshot: { store, revision, entries } }
}

/** Applies one batch of the watch, in order, to a copy. */
export function applyChanges(before: Known, changes: readonly Change[]): Known {
  const entries = new Map<string, KeyValue>(before.snapshot.entries)
  let revision = before.snapshot.revision
  for (const change of changes) {
    if (change.kind === 'put') entries.set(change.entry.key, change.entry)
    else entries.delete(change.key)
    revision = Math.max(revision, change.revision)
  }
  const highest = Math.max(before.highest, revision)
  return { ...before, highest, snapshot: { store: before.snapshot.store, revision, entries } }
}

/** Notes a revision that a proof showed. */
export function noteRevision(before: Known, revision: number): Known {
  return revision > before.highest ? { ...before, highest: revision } : before
}

/**
 * Could `loaded` be a later state of the store we know? Not with another cluster id, not with a
 * lower revision than a quorum showed before, and not if it holds an entry from our time that we
 * never saw: a store wiped and filled again past our revision is found by this.
 */
function isSameStore(before: Known, loaded: Loaded): boolean {
  if (loaded.clusterId !== before.clusterId || loaded.revision < before.highest) return false
  for (const entry of loaded.entries.values()) {
    if (entry.modRevision > before.snapshot.revision) continue
    const ours = before.snapshot.entries.get(entry.key)
    if (ours?.modRevision !== entry.modRevision) return false
    if (ours.createRevision !== entry.createRevision) return false
  }
  return true
}
