/** Collects problems and gives each its place; the rules on what may be shown of a value live here. */
import type { Path, Place, Problem, Where } from './types.ts'

/** Longest part of a found value that is repeated in a message. */
const SHOWN_MAX = 60

export type ProblemLog = {
  readonly error: (path: Path, message: string) => void
  readonly warning: (path: Path, message: string) => void
  readonly problems: () => Problem[]
}

export function openProblemLog(where: Where, variables: ReadonlyMap<string, string>): ProblemLog {
  const found: Problem[] = []
  const add = (severity: Problem['severity']) => (path: Path, message: string) => {
    const variable = variableOf(path, variables)
    const place = variable === null ? placeOf(path, where) : null
    const known = variable === null || variable === formatPath(path)
    const source = known ? message : `${message} (set by ${variable})`
    const { line = null, column = null } = place ?? {}
    const file = place?.file === undefined ? {} : { file: place.file }
    found.push({ severity, path: formatPath(path), line, column, ...file, message: source })
  }
  return { error: add('error'), warning: add('warning'), problems: () => sorted(found) }
}

/** `router.listeners[0].mode` */
export function formatPath(path: Path): string {
  return path.reduce<string>(
    (text, key) =>
      typeof key === 'number'
        ? `${text}[${key}]`
        : text === ''
          ? shown(key)
          : `${text}.${shown(key)}`,
    '',
  )
}

/** What was found, in a few words; a map or list is never repeated, it may hold secrets. */
export function describe(value: unknown, secret: boolean): string {
  if (value === undefined || value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return value instanceof Date ? 'a date' : 'a map'
  if (secret) return `a ${typeof value === 'string' ? 'text' : typeof value} (not shown)`
  return typeof value === 'string' ? `"${shown(value)}"` : String(value)
}

function shown(text: string): string {
  const clean = text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '?').replace(/\/\/[^/]*@/, '//…@')
  return clean.length > SHOWN_MAX ? `${clean.slice(0, SHOWN_MAX)}…` : clean
}

function variableOf(path: Path, variables: ReadonlyMap<string, string>): string | null {
  for (let length = path.length; length > 0; length--) {
    const variable = variables.get(formatPath(path.slice(0, length)))
    if (variable !== undefined) return variable
  }
  return null
}

/** The place of the path, or of the nearest thing around it that is in the text. */
function placeOf(path: Path, where: Where): Place | null {
  for (let length = path.length; length >= 0; length--) {
    const place = where(path.slice(0, length))
    if (place !== null) return place
  }
  return null
}

function sorted(problems: readonly Problem[]): Problem[] {
  const place = (it: Problem) => (it.line ?? 0) * 10_000 + (it.column ?? 0)
  const file = (it: Problem) => it.file ?? ''
  return [...problems].sort((a, b) =>
    file(a) === file(b) ? place(a) - place(b) : file(a) < file(b) ? -1 : 1,
  )
}
