/** One `members/<name>` value, as Patroni 3.0 to 4.1 write it, into a `Member`. */
import { parseApiUrl, parseConnUrl } from './address.ts'
import type { KeyValue, Member, MemberRole, TagValue } from './types.ts'
import {
  field,
  isObject,
  type JsonObject,
  NAME_CHARS_MAX,
  type Place,
  quote,
  readFlag,
  readNumber,
  readObject,
  readPosition,
  readWord,
} from './values.ts'

/** Tags kept of one member; Patroni knows about ten, people add a few. */
export const TAGS_MAX = 100

const TIMELINE_MAX = 2 ** 32 - 1

const ROLES: ReadonlyMap<string, MemberRole> = new Map([
  ['primary', 'primary'],
  ['master', 'primary'], // written by Patroni before 4.0
  ['replica', 'replica'],
  ['standby_leader', 'standby_leader'],
  ['promoted', 'promoted'],
  ['demoted', 'demoted'],
  ['uninitialized', 'uninitialized'],
])

/**
 * The member, or null with a fault when nothing could ever be sent to it (unusable name, JSON or
 * `conn_url`). A fault in another field leaves that field neutral.
 */
export function readMember(name: string, entry: KeyValue, place: Place): Member | null {
  if (!isUsableName(name)) {
    place.faults.add(place.key, `not usable as a member name: ${quote(name)}`)
    return null
  }
  const value = readObject(entry.value, place)
  const address = value === null ? null : readAddress(value, place)
  if (value === null || address === null) return null
  return {
    name,
    ...address,
    apiUrl: readApiUrl(value, place),
    state: readWord(value, 'state', place) ?? 'unknown',
    role: readRole(value, place),
    version: readWord(value, 'version', place),
    timeline: readNumber(value, 'timeline', { min: 0, max: TIMELINE_MAX }, 0, place) || null,
    position: readPosition(field(value, 'xlog_location'), 'xlog_location', place),
    received: readPosition(field(value, 'receive_lsn'), 'receive_lsn', place),
    replayed: readPosition(field(value, 'replay_lsn'), 'replay_lsn', place),
    replicationState: readWord(value, 'replication_state', place),
    tags: readTags(value, place),
    paused: readFlag(value, 'pause', place),
    pendingRestart: readFlag(value, 'pending_restart', place),
    changed: entry.modRevision,
  }
}

/** Short, printable, and safe as a property name of plain objects. */
export function isUsableName(name: string): boolean {
  if (name.length === 0 || name.length > NAME_CHARS_MAX || name === '__proto__') return false
  return !/[\p{Cc}\p{Cs}/]/u.test(name)
}

function readAddress(value: JsonObject, place: Place) {
  const url = field(value, 'conn_url')
  if (typeof url !== 'string') {
    place.faults.add(place.key, `conn_url is missing or not a text: ${quote(url)}`)
    return null
  }
  const parsed = parseConnUrl(url)
  if (parsed.kind === 'fault') {
    place.faults.add(place.key, `conn_url ${quote(withoutPassword(url))}: ${parsed.what}`)
    return null
  }
  if (parsed.otherHosts > 0) {
    const count = parsed.otherHosts + 1
    place.faults.add(place.key, `conn_url names ${count} hosts, only the first is used`)
  }
  return parsed.address
}

/** Faults are logged and shown: a URL that carries credentials must not take them there. */
function withoutPassword(url: string): string {
  return url.replace(/\/\/.*@/su, '//…@')
}

function readApiUrl(value: JsonObject, place: Place): string | null {
  const url = field(value, 'api_url')
  if (url === undefined) return null
  const origin = typeof url === 'string' ? parseApiUrl(url) : null
  if (origin === null) place.faults.add(place.key, 'api_url is not an http(s) URL')
  return origin
}

function readRole(value: JsonObject, place: Place): MemberRole {
  const word = readWord(value, 'role', place)
  if (word === null) return 'unknown'
  const role = ROLES.get(word)
  if (role === undefined) place.faults.add(place.key, `role is not known: ${quote(word)}`)
  return role ?? 'unknown'
}

function readTags(value: JsonObject, place: Place): Readonly<Record<string, TagValue>> {
  const tags = field(value, 'tags')
  if (tags === undefined) return {}
  if (!isObject(tags)) {
    place.faults.add(place.key, 'tags is not an object')
    return {}
  }
  const usable: [string, TagValue][] = []
  for (const [name, tag] of Object.entries(tags)) {
    if (tag === null) continue
    if (usable.length === TAGS_MAX) {
      place.faults.add(place.key, `more than ${TAGS_MAX} tags, the rest is ignored`)
      break
    }
    if (isUsableName(name) && isTagValue(tag)) usable.push([name, tag])
    else place.faults.add(place.key, `tag ${quote(name)} is not usable: ${quote(tag)}`)
  }
  return Object.fromEntries(usable)
}

function isTagValue(value: unknown): value is TagValue {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}
