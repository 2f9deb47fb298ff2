/** One value of the YAML against its type: the parsed value, or what is wrong and what is accepted. */

import { assertNever } from '../../kit/assert-never.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../kit/units.ts'
import type { ListenAddress } from '../fleet/messages.ts'
import { formatHostPort, isNetwork, parseHostPort, parseListen } from './addresses.ts'
import type { ValueType } from './setting.ts'

/** `at`: which element of a list; null for the value as a whole. */
export type Fault = {
  readonly at: number | null
  readonly found: unknown
  readonly accepted: string
}
export type Parsed = { readonly value: unknown } | { readonly faults: readonly Fault[] }

/** Longest list of addresses, networks or names one setting may have. */
export const LIST_MAX = 1000
export const ETCD_PORT = 2379

type LeafType = Exclude<ValueType, { kind: 'section' } | { kind: 'sections' }>

/** Parses a value that is not null. Sections are walked elsewhere. */
export function parseValue(type: LeafType, raw: unknown): Parsed {
  switch (type.kind) {
    case 'text':
    case 'pem':
      return whole(parseText(type, raw), raw, acceptedWords(type))
    case 'boolean':
      return whole(parseBoolean(raw), raw, acceptedWords(type))
    case 'integer':
      return whole(parseInteger(type, raw), raw, acceptedWords(type))
    case 'duration':
      return whole(within(parseDuration(raw), type), raw, acceptedWords(type))
    case 'size':
      return whole(within(parseSize(raw), type), raw, acceptedWords(type))
    case 'choice':
      return whole(parseChoice(type, raw), raw, acceptedWords(type))
    case 'host-port':
      return whole(parseHostPort(scalarText(raw) ?? '', null), raw, acceptedWords(type))
    case 'list':
    case 'networks':
    case 'endpoints':
    case 'listen':
      return parseList(type, raw)
    case 'map':
      return whole(parseMap(raw), raw, acceptedWords(type))
    case 'any':
      return { value: raw }
    default:
      return assertNever(type)
  }
}

/** What a setting of this type takes, in words; for messages, the schema and the reference page. */
export function acceptedWords(type: ValueType): string {
  switch (type.kind) {
    case 'text':
      return type.words ?? 'text'
    case 'pem':
      return 'path of a PEM file'
    case 'boolean':
      return 'true or false'
    case 'integer':
      return `${type.or === undefined ? '' : `\`${type.or}\` or `}a whole number from ${type.min} to ${type.max}`
    case 'duration':
      return `a duration from ${formatDuration(type.min)} to ${formatDuration(type.max)} with unit ms, s, m or h`
    case 'size':
      return `a size up to ${formatSize(type.max)} with unit kB, MB or GB, or bytes`
    case 'choice':
      return type.words ?? type.of.join(', ')
    case 'host-port':
      return 'host:port'
    case 'list':
      return 'a list of texts, or text with commas'
    case 'networks':
      return 'addresses, CIDR blocks or `unix`'
    case 'endpoints':
      return 'host:port without scheme (the scheme is `protocol`)'
    case 'listen':
      return 'host:port, [ipv6]:port, *:port or /directory:port'
    case 'map':
      return 'a map of names and values'
    case 'sections':
      return 'a list of maps'
    case 'section':
      return 'a map'
    case 'any':
      return 'anything'
    default:
      return assertNever(type)
  }
}

function whole(value: unknown, found: unknown, accepted: string): Parsed {
  return value === null ? { faults: [{ at: null, found, accepted }] } : { value }
}

/** YAML reads `12` as a number where a name or password was meant. */
function scalarText(raw: unknown): string | null {
  if (typeof raw === 'number' && Number.isFinite(raw)) return String(raw)
  return typeof raw === 'string' && !raw.includes('\0') ? raw : null
}

function parseText(type: LeafType & { kind: 'text' | 'pem' }, raw: unknown): string | null {
  const text = scalarText(raw)
  if (text === null || text === '') return null
  return type.kind === 'text' && type.pattern !== undefined && !type.pattern.test(text)
    ? null
    : text
}

/** Patroni's spellings, which are also YAML 1.1's. */
function parseBoolean(raw: unknown): boolean | null {
  const word = String(typeof raw === 'object' ? '' : raw).toLowerCase()
  if (['true', 'on', 'yes', '1'].includes(word)) return true
  return ['false', 'off', 'no', '0'].includes(word) ? false : null
}

function parseInteger(
  type: Extract<ValueType, { kind: 'integer' }>,
  raw: unknown,
): number | string | null {
  if (type.or !== undefined && raw === type.or) return type.or
  const text = typeof raw === 'string' && /^\s*-?\d{1,15}\s*$/.test(raw)
  const number = text ? Number(raw) : raw
  return Number.isSafeInteger(number) ? within(number as number, type) : null
}

function within(value: number | null, limits: { min: number; max: number }): number | null {
  return value !== null && value >= limits.min && value <= limits.max ? value : null
}

/** YAML 1.1 makes a boolean of `off`, `on`, `no` and `yes`: undo that where it is a choice. */
function parseChoice(type: Extract<ValueType, { kind: 'choice' }>, raw: unknown): string | null {
  const words = raw === false ? ['off', 'no', 'none'] : raw === true ? ['on', 'yes'] : [raw]
  const same = (a: unknown, b: string) =>
    a === b ||
    (type.anyCase === true && typeof a === 'string' && a.toLowerCase() === b.toLowerCase())
  return type.of.find((it) => words.some((word) => same(word, it))) ?? null
}

function parseMap(raw: unknown): Readonly<Record<string, string>> | null {
  if (!isMap(raw)) return null
  const entries = Object.entries(raw).map(([key, value]) => [
    key,
    scalarText(value) ?? String(typeof value === 'boolean' ? value : ''),
  ])
  return Object.fromEntries(entries)
}

export function isMap(raw: unknown): raw is Readonly<Record<string, unknown>> {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw) && !(raw instanceof Date)
}

type ListType = Extract<ValueType, { kind: 'list' | 'networks' | 'endpoints' | 'listen' }>

function parseList(type: ListType, raw: unknown): Parsed {
  const accepted = acceptedWords(type)
  const elements = Array.isArray(raw) ? raw : scalarText(raw)?.split(',').map(unquote)
  if (elements === undefined || elements.length === 0 || elements.length > LIST_MAX) {
    return { faults: [{ at: null, found: raw, accepted }] }
  }
  const ported = type.kind === 'listen' ? sharePorts(elements) : elements
  const values = ported.map((it) => parseElement(type, scalarText(it)?.trim() ?? ''))
  const faults = values.flatMap((value, at) =>
    value === null ? [{ at: Array.isArray(raw) ? at : null, found: elements[at], accepted }] : [],
  )
  return faults.length > 0 ? { faults } : { value: values.flat() }
}

function parseElement(type: ListType, text: string): string | readonly ListenAddress[] | null {
  switch (type.kind) {
    case 'list':
      return text === '' ? null : text
    case 'networks':
      return text === 'unix' || isNetwork(text) ? text : null
    case 'endpoints': {
      const found = parseHostPort(text, ETCD_PORT)
      return found === null || found.host === '*' ? null : formatHostPort(found)
    }
    case 'listen':
      return parseListen(text)
    default:
      return assertNever(type)
  }
}

/** Patroni writes `host1,host2:port`: an entry without port takes the one of the next entry. */
function sharePorts(elements: readonly unknown[]): unknown[] {
  let port = ''
  const backwards = [...elements].reverse().map((it) => {
    const text = typeof it === 'string' ? it.trim() : ''
    const own = /:\d+$/.exec(text)?.[0]
    if (own !== undefined) port = own
    const portless = /^(\*|\[[^\]]*\]|[^:[\]]+)$/.test(text)
    return own === undefined && portless ? `${text}${port}` : it
  })
  return backwards.reverse()
}

function unquote(text: string): string {
  return text.trim().replace(/^(['"])(.*)\1$/, '$2')
}
