/** The small cluster-wide keys: `initialize`, `status` with `optime/leader`, `sync`, `failover`. */
import { isUsableName } from './read-member.ts'
import type { FailoverRequest, KeyValue, Snapshot, SyncState } from './types.ts'
import {
  field,
  isObject,
  type JsonObject,
  type Place,
  quote,
  readJson,
  readNumber,
  readObject,
  readPosition,
  readWord,
} from './values.ts'

/** Synchronous standbys read from `sync`. */
export const SYNC_STANDBYS_MAX = 1000

/** The system identifier; null while the cluster is being bootstrapped (the key is empty then). */
export function readSystemId(entry: KeyValue | undefined, place: Place): string | null {
  if (entry === undefined || entry.value === '') return null
  if (/^\d{10,20}$/.test(entry.value)) return entry.value
  place.faults.add(place.key, `not a system identifier: ${quote(entry.value)}`)
  return null
}

/**
 * The leader's last published WAL position: `status` (JSON, or a bare integer), and only where there
 * is no such key `optime/leader`, which old agents read.
 */
export function readLeaderPosition(
  entries: Snapshot['entries'],
  at: (key: string) => Place,
): number | null {
  const status = entries.get('status')
  if (status !== undefined) return readStatus(status.value, at('status'))
  const optime = entries.get('optime/leader')
  if (optime === undefined) return null
  return readPosition(optime.value, 'the value', at('optime/leader'))
}

function readStatus(text: string, place: Place): number | null {
  const value = readJson(text, place)
  if (value === undefined) return null
  return isObject(value)
    ? readPosition(field(value, 'optime'), 'optime', place)
    : readPosition(value, 'the value', place)
}

/** The synchronous standbys; without a leader the whole key counts as empty. */
export function readSync(entry: KeyValue | undefined, place: Place): SyncState | null {
  if (entry === undefined || entry.value === '') return null
  const value = readObject(entry.value, place)
  const leader = value && readWord(value, 'leader', place)
  if (value === null || leader === null) return null
  const limits = { min: 0, max: SYNC_STANDBYS_MAX }
  return {
    leader,
    standbys: readStandbys(value, place),
    quorum: readNumber(value, 'quorum', limits, 0, place),
  }
}

function readStandbys(value: JsonObject, place: Place): readonly string[] {
  const list = field(value, 'sync_standby')
  if (list === undefined) return []
  if (typeof list !== 'string') {
    place.faults.add(place.key, `sync_standby is not a text: ${quote(list)}`)
    return []
  }
  const names = list.split(',', SYNC_STANDBYS_MAX).map((name) => name.trim())
  return names.filter((name) => name !== '')
}

/**
 * The request in `failover`; null when nothing is asked for (`{}` after clearing). A request whose
 * time can't be read is dropped: it must not look like one for now.
 */
export function readFailover(entry: KeyValue | undefined, place: Place): FailoverRequest | null {
  if (entry === undefined || entry.value === '') return null
  const value = readRequest(entry.value, place)
  if (value === null) return null
  const leader = readWord(value, 'leader', place)
  const candidate = readWord(value, 'member', place)
  const scheduledAtMs = readTime(value, place)
  if ((leader === null && candidate === null) || scheduledAtMs === undefined) return null
  return { leader, candidate, scheduledAtMs, changed: entry.modRevision }
}

/** JSON, or the old `leader:candidate`, which Patroni still reads. */
function readRequest(text: string, place: Place): JsonObject | null {
  const [leader, member = '', ...more] = text.split(':', 3).map((name) => name.trim())
  const looksLikeNames = more.length === 0 && !/^\s*[[{"]/.test(text) && text.includes(':')
  if (looksLikeNames && [leader, member].every((name) => !name || isUsableName(name))) {
    return { leader, member }
  }
  return readObject(text, place)
}

/** Milliseconds since 1970, null for "now", undefined with a fault when unreadable. */
function readTime(value: JsonObject, place: Place): number | null | undefined {
  const text = field(value, 'scheduled_at')
  if (text === undefined || text === '') return null
  // Without an offset the time would depend on this machine's zone.
  const iso = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/
  const ms = typeof text === 'string' && iso.test(text) ? Date.parse(text.replace(' ', 'T')) : NaN
  if (Number.isFinite(ms)) return ms
  place.faults.add(place.key, `scheduled_at is not a time with offset: ${quote(text)}`)
  return undefined
}
