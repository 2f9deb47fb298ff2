/**
 * One watch of a prefix on one connection. Delivers changes in order and says why it ended; it never
 * reconnects. What a silent watch hides is found by the proofs, not here.
 */
import type { IEvent, IWatchRequest, IWatchResponse } from 'etcd3'
import type { KeyValue } from '../../core/cluster/types.ts'
import type { Endpoint } from './endpoint.ts'
import { CompactedError, EtcdError, toEtcdError } from './errors.ts'
import { prefixEnd, readKey, readKeyValue, readRevision } from './load.ts'

export type Change =
  | { readonly kind: 'put'; readonly revision: number; readonly entry: KeyValue }
  | { readonly kind: 'delete'; readonly revision: number; readonly key: string }

export type WatchEvents = {
  /** etcd confirmed the watch: from here on no change is missed. */
  onCreated(): void
  /** A whole batch, parts joined; `receivedAtMs` by `performance.now()`. */
  onChanges(changes: readonly Change[], receivedAtMs: number): void
  /** Once, and nothing after it; not after `close`. */
  onEnded(error: EtcdError): void
}

/** How many events may wait for the last part of a split batch. */
const PARTS_EVENTS_MAX = 50_000

/** Watches the prefix from `fromRevision` on (inclusive). */
export function openWatch(
  endpoint: Endpoint,
  prefix: string,
  fromRevision: number,
  events: WatchEvents,
): { close(): void } {
  const key = Buffer.from(prefix)
  let parts: Change[] = []
  let open = true

  const end = (error: EtcdError) => {
    if (!open) return
    open = false
    stream.cancel()
    events.onEnded(error)
  }

  const take = (answer: Answer, receivedAtMs: number) => {
    if (answer.kind === 'ended') return end(answer.error)
    if (answer.kind === 'created') return events.onCreated()
    parts.push(...answer.changes)
    if (parts.length > PARTS_EVENTS_MAX) return end(new EtcdError('too-large', 'watch batch'))
    if (answer.toBeContinued || parts.length === 0) return
    const batch = parts
    parts = []
    events.onChanges(batch, receivedAtMs)
  }

  const stream = endpoint.watch(createRequest(key, fromRevision), {
    onAnswer(answer) {
      const receivedAtMs = performance.now()
      if (open) take(readAnswer(key.length, answer), receivedAtMs)
    },
    onFailed: end,
  })
  return {
    close() {
      open = false
      stream.cancel()
    },
  }
}

function createRequest(key: Buffer, start_revision: number): IWatchRequest {
  const range_end = prefixEnd(key)
  return {
    create_request: { key, range_end, start_revision, progress_notify: true, fragment: true },
  }
}

type Answer =
  | { readonly kind: 'created' }
  | { readonly kind: 'ended'; readonly error: EtcdError }
  | {
      readonly kind: 'changes'
      readonly changes: readonly Change[]
      readonly toBeContinued: boolean
    }

function readAnswer(prefixBytes: number, answer: IWatchResponse): Answer {
  try {
    if (answer.canceled) return { kind: 'ended', error: cancelError(answer) }
    if (answer.created) return { kind: 'created' }
    const changes = answer.events.map((event) => readChange(prefixBytes, event))
    return { kind: 'changes', changes, toBeContinued: answer.fragment }
  } catch (error) {
    return { kind: 'ended', error: toEtcdError(error, 'watch') }
  }
}

function readChange(prefixBytes: number, event: IEvent): Change {
  const revision = readRevision(event.kv.mod_revision)
  if (event.type === 'Delete')
    return { kind: 'delete', revision, key: readKey(prefixBytes, event.kv.key) }
  return { kind: 'put', revision, entry: readKeyValue(prefixBytes, event.kv) }
}

function cancelError(answer: IWatchResponse): EtcdError {
  const compactRevision = readRevision(answer.compact_revision)
  if (compactRevision > 0) return new CompactedError(compactRevision)
  const why = answer.cancel_reason === '' ? 'without a reason' : answer.cancel_reason
  return new EtcdError('watch-ended', `watch canceled: ${why}`)
}
