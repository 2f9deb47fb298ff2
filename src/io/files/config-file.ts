/**
 * Reads a configuration from a file, a directory of files or `PATRONI_CONFIGURATION`, and the PEM
 * files it names. Everything that is wrong comes back as a problem; nothing is thrown.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Config,
  type Env,
  examineConfig,
  type Place,
  type Problem,
  type Purpose,
} from '../../core/config/index.ts'
import { checkPemFiles } from './pem-files.ts'
import { parseYaml, type YamlText } from './yaml-text.ts'

/** Largest configuration text that is read. */
const TEXT_BYTES_MAX = 4 * 1024 * 1024

export type Loaded = {
  config: Config | null
  problems: Problem[]
  /** PEM texts by the path the configuration gives. */
  files: Map<string, string>
}

type Text = { readonly name: string | null; readonly yaml: YamlText }

/**
 * `path`: a YAML file, or a directory whose `*.yml` and `*.yaml` are merged in alphabetical order as
 * Patroni does; empty: the text in `PATRONI_CONFIGURATION`. Relative PEM paths start at the working
 * directory, as in Patroni.
 */
export function loadConfig(path: string, env: Env, purpose: Purpose = 'run'): Loaded {
  const files = new Map<string, string>()
  const texts = readTexts(path, env)
  if ('fault' in texts) {
    const nowhere = { path: '', line: null, column: null }
    return {
      config: null,
      problems: [{ severity: 'error', ...nowhere, message: texts.fault }],
      files,
    }
  }
  const syntax = texts.flatMap(({ name, yaml }) =>
    yaml.problems.map((it) => (name === null ? it : { ...it, file: name })),
  )
  if (texts.some(({ yaml }) => yaml.source === null))
    return { config: null, problems: syntax, files }
  const examination = examineConfig(mergeAll(texts), (it) => locateIn(texts, it), env, purpose)
  checkPemFiles(examination, files)
  const config = syntax.some((it) => it.severity === 'error') ? null : examination.build()
  return { config, problems: [...syntax, ...examination.log.problems()], files }
}

function readTexts(path: string, env: Env): readonly Text[] | { readonly fault: string } {
  if (path === '') {
    const text = env['PATRONI_CONFIGURATION'] ?? ''
    return [{ name: null, yaml: parseYaml(text) }]
  }
  try {
    if (!statSync(path).isDirectory()) return [{ name: null, yaml: parseYaml(readText(path)) }]
    const names = readdirSync(path).filter((it) => /\.ya?ml$/.test(it))
    if (names.length === 0) return { fault: `${path} is a directory without *.yml or *.yaml files` }
    return names.sort().map((name) => ({ name, yaml: parseYaml(readText(join(path, name))) }))
  } catch (error) {
    return { fault: unreadable(path, error) }
  }
}

function readText(path: string): string {
  const bytes = statSync(path).size
  if (bytes > TEXT_BYTES_MAX) throw new Error(`larger than ${TEXT_BYTES_MAX} bytes`)
  return readFileSync(path, 'utf8')
}

/** Why a file could not be read, in one sentence. */
function unreadable(path: string, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  const words: Readonly<Record<string, string>> = {
    ENOENT: 'no such file or directory',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
  }
  return `${path} can't be read: ${words[code ?? ''] ?? message}`
}

function locateIn(texts: readonly Text[], path: readonly (string | number)[]): Place | null {
  for (const { name, yaml } of texts.toReversed()) {
    const place = yaml.locate(path)
    if (place !== null) return name === null ? place : { ...place, file: name }
  }
  return null
}

function mergeAll(texts: readonly Text[]): unknown {
  const values = texts.map(({ yaml }) => yaml.source?.value)
  return values.length === 1 ? values[0] : values.reduce(merge, {})
}

/** Patroni's merge: maps key by key, everything else replaced, null removes. */
function merge(under: unknown, over: unknown): unknown {
  if (over === undefined || over === null) return under
  if (!isPlainMap(under) || !isPlainMap(over)) return over
  const merged = new Map(Object.entries(under))
  for (const [key, value] of Object.entries(over)) {
    if (value === null) merged.delete(key)
    else merged.set(key, merge(merged.get(key), value))
  }
  return Object.fromEntries(merged)
}

function isPlainMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
