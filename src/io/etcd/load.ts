/**
 * Reads everything under a prefix at one revision. The first page is a linearizable read, so it
 * proves that this endpoint speaks for the quorum; the other pages are read at the same revision.
 */
import type { IKeyValue, IRangeResponse } from 'etcd3'
import type { KeyValue } from '../../core/cluster/types.ts'
import type { Endpoint } from './endpoint.ts'
import { EtcdError } from './errors.ts'

export const PAGE_KEYS = 200
/** Far above any cluster (a dozen keys); a wrong prefix must not fill the memory. */
export const PREFIX_KEYS_MAX = 20_000
const PAGE_DEADLINE_MS = 3000

export type Loaded = {
  readonly clusterId: string
  readonly revision: number
  /** By key relative to the prefix. */
  readonly entries: ReadonlyMap<string, KeyValue>
}

/** Loads the prefix; `deadlineMs` is for the first answer. Throws `EtcdError`. */
export async function loadPrefix(
  endpoint: Endpoint,
  prefix: string,
  deadlineMs: number,
): Promise<Loaded> {
  const from = Buffer.from(prefix)
  const range_end = prefixEnd(from)
  const first = await endpoint.range({ key: from, range_end, limit: PAGE_KEYS }, deadlineMs)
  if (Number(first.count) > PREFIX_KEYS_MAX) throw tooManyKeys(prefix, first.count)
  const revision = readRevision(first.header.revision)
  const entries = new Map<string, KeyValue>()
  let page: IRangeResponse = first
  for (;;) {
    addPage(entries, from.length, page.kvs)
    const last = page.kvs.at(-1)
    if (!page.more || last === undefined) break
    const key = Buffer.concat([last.key, Buffer.of(0)])
    page = await endpoint.range({ key, range_end, limit: PAGE_KEYS, revision }, PAGE_DEADLINE_MS)
  }
  return { clusterId: first.header.cluster_id, revision, entries }
}

/** The key after the last one with this prefix, as etcd wants it in `range_end`. */
export function prefixEnd(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix)
  for (let at = end.length - 1; at >= 0; at--) {
    const byte = end[at]!
    if (byte < 0xff) {
      end[at] = byte + 1
      return end.subarray(0, at + 1)
    }
  }
  return Buffer.of(0)
}

/** An etcd entry with its key relative to a prefix of `prefixBytes`. */
export function readKeyValue(prefixBytes: number, raw: IKeyValue): KeyValue {
  return {
    key: readKey(prefixBytes, raw.key),
    value: raw.value.toString('utf8'),
    createRevision: readRevision(raw.create_revision),
    modRevision: readRevision(raw.mod_revision),
    lease: raw.lease,
  }
}

/** The key relative to the prefix; bytes that are not UTF-8 are kept apart as `\x` and hex. */
export function readKey(prefixBytes: number, raw: Buffer): string {
  const bytes = raw.subarray(prefixBytes)
  const text = bytes.toString('utf8')
  return Buffer.from(text).equals(bytes) ? text : `\\x${bytes.toString('hex')}`
}

/** etcd's int64 as a number. Throws `EtcdError` (protocol) on what is not a revision. */
export function readRevision(text: string): number {
  const revision = Number(text)
  if (Number.isSafeInteger(revision) && revision >= 0) return revision
  throw new EtcdError('protocol', `not a revision: ${JSON.stringify(text)}`)
}

function addPage(into: Map<string, KeyValue>, prefixBytes: number, kvs: readonly IKeyValue[]) {
  for (const raw of kvs) {
    const entry = readKeyValue(prefixBytes, raw)
    into.set(entry.key, entry)
  }
}

function tooManyKeys(prefix: string, count: string): EtcdError {
  return new EtcdError('too-large', `${count} keys under ${prefix}, at most ${PREFIX_KEYS_MAX}`)
}
