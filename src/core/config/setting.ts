/** What a row of the settings table is, and the few helpers the rows are written with. */

export type ValueType =
  /** Any text; `pattern` narrows it and `words` says how. */
  | { readonly kind: 'text'; readonly pattern?: RegExp; readonly words?: string }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'integer'; readonly min: number; readonly max: number; readonly or?: 'auto' }
  /** Limits in milliseconds. */
  | { readonly kind: 'duration'; readonly min: number; readonly max: number }
  /** Limits in bytes. */
  | { readonly kind: 'size'; readonly min: number; readonly max: number }
  | {
      readonly kind: 'choice'
      readonly of: readonly string[]
      readonly anyCase?: boolean
      readonly words?: string
    }
  /** A YAML list of texts, or one text with commas. */
  | { readonly kind: 'list' }
  /** Path of a PEM file. */
  | { readonly kind: 'pem'; readonly holds: 'certificate' | 'authorities' | 'key' }
  /** Addresses a listener binds. */
  | { readonly kind: 'listen' }
  /** Addresses, CIDR blocks or `unix`. */
  | { readonly kind: 'networks' }
  | { readonly kind: 'host-port' }
  /** etcd endpoints; the port may be left out. */
  | { readonly kind: 'endpoints' }
  /** A map with known keys; `open` ones take any further key. */
  | { readonly kind: 'section'; readonly open?: boolean }
  /** A list of maps with known keys. */
  | { readonly kind: 'sections'; readonly max: number }
  /** A map with free keys and scalar values. */
  | { readonly kind: 'map' }
  /** Patroni takes what it gets; so do we. */
  | { readonly kind: 'any' }

export type Setting = {
  /** `router.listeners[].name` */
  readonly path: string
  readonly type: ValueType
  /** As it would be written in the YAML; null: there is none. */
  readonly fallback: string | number | boolean | null
  /** One sentence for the reference page, the schema and the sample. */
  readonly says: string
  readonly required: 'always' | 'run' | 'no'
  /** Its value must never be shown. */
  readonly secret: boolean
  /** The variable that overrides it; null: none. */
  readonly env: string | null
  /** Wrong values are warnings: Patroni would start with them, and nothing here reads them yet. */
  readonly lenient: boolean
  /** Shown in the generated sample in place of the default. */
  readonly sample: string | null
}

type Details = Partial<Omit<Setting, 'path' | 'type' | 'says'>>

/** A row of our own sections: overridden by `PGSTEER_<PATH>`. */
export function own(path: string, type: ValueType, says: string, details: Details = {}): Setting {
  const env = isLeaf(type) && !path.includes('[]') ? ownVariable(path) : null
  return { ...row(path, type, says), env, ...details }
}

/** A row of Patroni's: overridden by the variable Patroni has for it, if it has one. */
export function patroni(
  path: string,
  type: ValueType,
  says: string,
  details: Details = {},
): Setting {
  return { ...row(path, type, says), ...details }
}

/** Rows of Patroni's that share a parent and need no sentence of their own here. */
export function patroniKeys(
  parent: string,
  keys: Readonly<Record<string, ValueType>>,
  details: Details = {},
): Setting[] {
  return Object.entries(keys).map(([key, type]) =>
    patroni(`${parent}.${key}`, type, 'As in Patroni.', details),
  )
}

/** The same rows, each with the variable `prefix` + its last key in capitals. */
export function withVariables(prefix: string, rows: readonly Setting[]): Setting[] {
  return rows.map((it) => ({ ...it, env: `${prefix}${lastKey(it.path).toUpperCase()}` }))
}

export function lastKey(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1)
}

function row(path: string, type: ValueType, says: string): Setting {
  const blank = { fallback: null, secret: false, env: null, lenient: false, sample: null } as const
  return { path, type, says, required: 'no', ...blank }
}

function isLeaf(type: ValueType): boolean {
  return type.kind !== 'section'
}

function ownVariable(path: string): string {
  return `PGSTEER_${path.replaceAll('.', '_').toUpperCase()}`
}

export const TEXT = { kind: 'text' } as const
export const SWITCH = { kind: 'boolean' } as const
export const LIST = { kind: 'list' } as const
export const MAP = { kind: 'map' } as const
export const ANY = { kind: 'any' } as const
export const SECTION = { kind: 'section' } as const
export const OPEN_SECTION = { kind: 'section', open: true } as const
export const integer = (min: number, max: number) => ({ kind: 'integer', min, max }) as const
export const duration = (min: number, max: number) => ({ kind: 'duration', min, max }) as const
export const size = (min: number, max: number) => ({ kind: 'size', min, max }) as const
export const choice = (...of: string[]) => ({ kind: 'choice', of }) as const
export const pem = (holds: 'certificate' | 'authorities' | 'key') =>
  ({ kind: 'pem', holds }) as const
