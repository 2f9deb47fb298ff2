/** Walks the document beside the settings tree: parses, fills in defaults, reports what is wrong. */
import { nearestName } from './nearest.ts'
import { acceptedWords, isMap, parseValue } from './parse.ts'
import { describe, formatPath, type ProblemLog } from './problems.ts'
import type { Setting, ValueType } from './setting.ts'
import { REFUSED_SECTIONS } from './settings/index.ts'
import { type Node, TREE } from './tree.ts'
import type { Path, Purpose } from './types.ts'

/** Parsed values by path (`router.listeners[0].name`); sections that are present hold `true`. */
export type Values = Map<string, unknown>

type Walk = { readonly values: Values; readonly log: ProblemLog; readonly purpose: Purpose }

/** Most unknown keys of one section that are reported one by one. */
const UNKNOWN_KEYS_MAX = 50

export function walkDocument(source: unknown, log: ProblemLog, purpose: Purpose): Values {
  const walk = { values: new Map(), log, purpose }
  if (isMap(source)) walkMap(TREE, source, [], walk)
  else
    log.error(
      [],
      `found ${describe(source, true)}; accepted: a map (scope, name, etcd3, router, …)`,
    )
  return walk.values
}

function walkMap(node: Node, map: Readonly<Record<string, unknown>>, path: Path, walk: Walk): void {
  for (const [key, child] of node.children) {
    const value = Object.hasOwn(map, key) ? map[key] : undefined
    walkSetting(child, value, [...path, key], walk)
  }
  reportUnknown(node, map, path, walk)
}

function walkSetting(node: Node, raw: unknown, path: Path, walk: Walk): void {
  const setting = node.setting!
  if (isUnset(setting.type, raw)) return walkMissing(node, path, walk)
  switch (setting.type.kind) {
    case 'section':
      return walkSection(node, raw, path, walk)
    case 'sections':
      return walkSections(node, setting.type.max, raw, path, walk)
    default:
      return walkLeaf(setting, setting.type, raw, path, walk)
  }
}

/** As in Patroni an empty text means nothing was set. */
function isUnset(type: ValueType, raw: unknown): boolean {
  return raw === undefined || raw === null || (raw === '' && ['text', 'pem'].includes(type.kind))
}

function walkMissing(node: Node, path: Path, { values, log, purpose }: Walk): void {
  const setting = node.setting!
  if (setting.required === 'always' || setting.required === purpose) {
    log.error(path, `is missing; accepted: ${acceptedWords(setting.type)}`)
  }
  fillInAll(node, path, values)
}

/** Defaults also below a section that is left out; its own path stays unset. */
function fillInAll(node: Node, path: Path, values: Values): void {
  fillIn(node.setting!, path, values)
  if (node.setting!.type.kind !== 'section') return
  for (const [key, child] of node.children) fillInAll(child, [...path, key], values)
}

function walkSection(node: Node, raw: unknown, path: Path, walk: Walk): void {
  walk.values.set(formatPath(path), true)
  if (!isMap(raw)) {
    fillInAll(node, path, walk.values)
    return fault(node.setting!, path, raw, 'a map', walk)
  }
  walkMap(node, raw, path, walk)
}

function walkSections(node: Node, max: number, raw: unknown, path: Path, walk: Walk): void {
  const accepted = `a list of 1 to ${max} maps`
  if (!Array.isArray(raw)) return fault(node.setting!, path, raw, accepted, walk)
  if (raw.length === 0 || raw.length > max) {
    return walk.log.error(path, `found a list of ${raw.length}; accepted: ${accepted}`)
  }
  walk.values.set(formatPath(path), raw.length)
  raw.forEach((it, i) => {
    if (isMap(it)) walkMap(node, it, [...path, i], walk)
    else fault(node.setting!, [...path, i], it, 'a map', walk)
  })
}

type LeafType = Exclude<ValueType, { kind: 'section' } | { kind: 'sections' }>

function walkLeaf(setting: Setting, type: LeafType, raw: unknown, path: Path, walk: Walk): void {
  const parsed = parseValue(type, raw)
  if ('value' in parsed) {
    walk.values.set(formatPath(path), parsed.value)
    return
  }
  for (const { at, found, accepted } of parsed.faults) {
    fault(setting, at === null ? path : [...path, at], found, accepted, walk)
  }
  fillIn(setting, path, walk.values)
}

/** A default stands in for what is missing or wrong, so that the rules see whole values. */
function fillIn(setting: Setting, path: Path, values: Values): void {
  if (setting.fallback === null || setting.type.kind === 'section') return
  if (setting.type.kind === 'sections') return
  const parsed = parseValue(setting.type, setting.fallback)
  if ('value' in parsed) values.set(formatPath(path), parsed.value)
}

function fault(setting: Setting, path: Path, raw: unknown, accepted: string, walk: Walk): void {
  const hidden = setting.secret || ['section', 'sections', 'map'].includes(setting.type.kind)
  const quote = typeof raw === 'boolean' && setting.type.kind === 'text' ? ' (in quotes)' : ''
  const message = `found ${describe(raw, hidden)}; accepted: ${accepted}${quote}`
  walk.log[setting.lenient ? 'warning' : 'error'](path, message)
}

function reportUnknown(
  node: Node,
  map: Readonly<Record<string, unknown>>,
  path: Path,
  { log }: Walk,
): void {
  const type = node.setting?.type
  if (type?.kind === 'section' && type.open === true) return
  const strange = Object.keys(map).filter((key) => !node.children.has(key))
  for (const key of strange.slice(0, UNKNOWN_KEYS_MAX)) {
    const refused = path.length === 0 && Object.hasOwn(REFUSED_SECTIONS, key)
    if (refused && map[key] !== null) log.error([key], REFUSED_SECTIONS[key]!)
    else if (!refused && !isMethod(path, map[key]))
      log.warning([...path, key], unknownWords(key, node))
  }
}

/** Patroni lets a bootstrap or replica method carry any name; it is a map with a command. */
function isMethod(path: Path, value: unknown): boolean {
  const home = ['bootstrap', 'postgresql', 'bootstrap.dcs.postgresql'].includes(formatPath(path))
  return home && isMap(value) && Object.hasOwn(value, 'command')
}

function unknownWords(key: string, node: Node): string {
  const near = nearestName(key, node.children.keys())
  if (near !== null) return `unknown key, ignored; did you mean \`${near}\`?`
  return `unknown key, ignored; accepted here: ${[...node.children.keys()].join(', ')}`
}
