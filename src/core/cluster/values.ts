/**
 * Reads single values of Patroni's keys with limits. Every reader is total: a value it can't use
 * becomes a fault and a neutral answer, never an exception.
 */
import type { ViewFault } from './types.ts'

/** A longer value is not read at all; etcd refuses requests over 1.5 MiB, real values have a few kB. */
export const VALUE_CHARS_MAX = 1 << 20
/** Deeper JSON is refused: whoever prints it again would run out of stack. */
export const JSON_DEPTH_MAX = 64
/** Faults kept of one view; one more says how many were left out. */
export const FAULTS_MAX = 100
/** Names of members, and words such as state and version. */
export const NAME_CHARS_MAX = 255

export type JsonObject = Readonly<Record<string, unknown>>

/** Collects the faults of one view, bounded by `FAULTS_MAX`. */
export class FaultList {
  readonly #kept: ViewFault[] = []
  #dropped = 0

  add(key: string, what: string): void {
    if (this.#kept.length < FAULTS_MAX) this.#kept.push({ key: shorten(key), what })
    else this.#dropped += 1
  }

  /** The faults in the order they were found. */
  list(): readonly ViewFault[] {
    if (this.#dropped === 0) return this.#kept
    return [...this.#kept, { key: '', what: `${this.#dropped} further faults are not listed` }]
  }
}

/** Where a value stands, so that a fault can name it. */
export type Place = { readonly key: string; readonly faults: FaultList }

/** The JSON value of a text, or undefined with a fault. */
export function readJson(text: string, place: Place): unknown {
  if (text.length > VALUE_CHARS_MAX) return fail(place, `longer than ${VALUE_CHARS_MAX} characters`)
  if (isDeeperThan(text, JSON_DEPTH_MAX)) {
    return fail(place, `nested deeper than ${JSON_DEPTH_MAX} levels`)
  }
  try {
    return JSON.parse(text)
  } catch {
    return fail(place, `not JSON: ${quote(text)}`)
  }
}

/** The JSON object of a text, or null with a fault. */
export function readObject(text: string, place: Place): JsonObject | null {
  const value = readJson(text, place)
  if (value === undefined || isObject(value)) return value ?? null
  place.faults.add(place.key, `not a JSON object: ${quote(text)}`)
  return null
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A field by its known name; null counts as absent, as for Patroni. */
export function field(object: JsonObject, name: string): unknown {
  return object[name] ?? undefined
}

/** A text of 1 to `NAME_CHARS_MAX` characters; null when absent or, with a fault, when unusable. */
export function readWord(object: JsonObject, name: string, place: Place): string | null {
  const value = field(object, name)
  if (value === undefined || value === '') return null
  if (typeof value === 'string' && value.length <= NAME_CHARS_MAX) return value
  place.faults.add(place.key, `${name} is not a short text: ${quote(value)}`)
  return null
}

/**
 * A WAL position in bytes, as a number or decimal text (Patroni reads both). Zero is how Patroni
 * says "unknown". Null when absent, zero or, with a fault, not a position.
 */
export function readPosition(value: unknown, name: string, place: Place): number | null {
  if (value === undefined) return null
  const position = wholeNumber(value)
  if (position !== null && position >= 0) return position || null
  place.faults.add(place.key, `${name} is not a WAL position: ${quote(value)}`)
  return null
}

/** A number within limits, or `otherwise` when absent or, with a fault, when out of them. */
export function readNumber(
  object: JsonObject,
  name: string,
  limits: { readonly min: number; readonly max: number },
  otherwise: number,
  place: Place,
): number {
  const value = field(object, name)
  if (value === undefined) return otherwise
  const number = wholeNumber(value)
  if (number !== null && number >= limits.min && number <= limits.max) return number
  const range = `a whole number from ${limits.min} to ${limits.max}`
  place.faults.add(place.key, `${name} is not ${range}: ${quote(value)}`)
  return otherwise
}

/** A boolean field in Patroni's spellings; absent is false, anything else false with a fault. */
export function readFlag(object: JsonObject, name: string, place: Place): boolean {
  const value = field(object, name)
  if (value === undefined) return false
  const flag = parseBoolean(value)
  if (flag !== null) return flag
  place.faults.add(place.key, `${name} is not a boolean: ${quote(value)}`)
  return false
}

/** `true on yes 1` and `false off no 0` in any case, as Patroni reads booleans; else null. */
export function parseBoolean(value: unknown): boolean | null {
  if (typeof value === 'boolean') return value
  if (typeof value !== 'string' && typeof value !== 'number') return null
  const word = String(value).toLowerCase()
  if (['true', 'on', 'yes', '1'].includes(word)) return true
  return ['false', 'off', 'no', '0'].includes(word) ? false : null
}

/** A value as people may see it in a fault: JSON, cut short. */
export function quote(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(shorten(value))
  return isObject(value) || Array.isArray(value) ? 'an object or list' : shorten(String(value))
}

function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`
}

function fail(place: Place, what: string): undefined {
  place.faults.add(place.key, what)
  return undefined
}

/** Exact integers only; decimal text is read as Patroni's `parse_int` does. */
function wholeNumber(value: unknown): number | null {
  const number =
    typeof value === 'string' && /^\s*-?\d{1,20}\s*$/.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : null
}

/** Counts brackets outside of strings; on text that is no JSON the answer does not matter. */
function isDeeperThan(text: string, limit: number): boolean {
  let depth = 0
  let inString = false
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at]
    if (inString) {
      if (char === '\\') at += 1
      else if (char === '"') inString = false
    } else if (char === '"') inString = true
    else if (char === '{' || char === '[') {
      depth += 1
      if (depth > limit) return true
    } else if (char === '}' || char === ']') depth -= 1
  }
  return false
}
