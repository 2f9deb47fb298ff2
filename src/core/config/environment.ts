/**
 * Lays environment variables over the YAML: `PATRONI_*` as Patroni reads them, `PGSTEER_*` for what
 * Patroni does not have. The environment wins. An empty variable counts as not set.
 */
import { nearestName } from './nearest.ts'
import { isMap } from './parse.ts'
import type { Setting } from './setting.ts'
import { SETTINGS } from './settings/index.ts'
import type { Env } from './types.ts'

export type Overlay = {
  readonly source: unknown
  /** Path → variable it came from. */
  readonly variables: ReadonlyMap<string, string>
  /** Variables that look like ours and are not: name and the name that may be meant. */
  readonly unknown: readonly { readonly name: string; readonly near: string | null }[]
}

const BY_VARIABLE: ReadonlyMap<string, Setting> = new Map(
  SETTINGS.flatMap((it): [string, Setting][] => (it.env === null ? [] : [[it.env, it]])),
)

/** Variables of ours that begin like this are surely meant as settings. */
const OUR_PREFIXES = ['PGSTEER_ROUTER_', 'PGSTEER_VIP_']
const OLD_STORE =
  /^PATRONI_ETCD_(HOSTS?|URL|PROXY|SRV|SRV_SUFFIX|PROTOCOL|USERNAME|PASSWORD|CACERT|CERT|KEY|USE_PROXIES)$/

/** Never changes `source`; copies only the maps it writes into. */
export function overlayEnvironment(source: unknown, env: Env): Overlay {
  const variables = new Map<string, string>()
  let result: unknown = source ?? {}
  for (const [setting, name, text] of setVariables(env)) {
    result = withValue(result, setting.path.split('.'), fromText(setting, text))
    variables.set(setting.path, name)
  }
  const oldStore = Object.keys(env).find((it) => OLD_STORE.test(it) && env[it])
  if (oldStore !== undefined) {
    result = withValue(result, ['etcd'], {})
    variables.set('etcd', oldStore)
  }
  const unknown = unknownVariables(env)
  for (const { name } of unknown) variables.set(name, name)
  return { source: result, variables, unknown }
}

function setVariables(env: Env): [Setting, string, string][] {
  const found: [Setting, string, string][] = []
  for (const [name, setting] of BY_VARIABLE) {
    const text = env[name]
    if (typeof text === 'string' && text.trim() !== '') found.push([setting, name, text])
  }
  return found
}

function unknownVariables(env: Env): { name: string; near: string | null }[] {
  return Object.keys(env)
    .filter((name) => OUR_PREFIXES.some((it) => name.startsWith(it)) && !BY_VARIABLE.has(name))
    .map((name) => ({ name, near: nearestName(name, BY_VARIABLE.keys()) }))
}

function withValue(at: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path
  if (key === undefined) return value
  // Something else than a map stands there: leave it to be reported as what it is.
  if (at !== undefined && at !== null && !isMap(at)) return at
  const map: Record<string, unknown> = { ...(at ?? {}) }
  return { ...map, [key]: withValue(map[key], rest, value) }
}

/** Lists and maps are YAML fragments whose outer brackets may be left out, as in Patroni. */
function fromText(setting: Setting, text: string): unknown {
  const json = fromJson(text.trim())
  if (json !== undefined) return json
  const { kind } = setting.type
  if (kind === 'list' || kind === 'networks' || kind === 'listen' || kind === 'endpoints') {
    return flowList(text)
  }
  return kind === 'map' ? flowMap(text) : text
}

function fromJson(text: string): unknown {
  if (!/^[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function flowList(text: string): string[] {
  const trimmed = text.trim()
  const parts = /^-\s/.test(trimmed)
    ? trimmed.split('\n').map((it) => it.replace(/^\s*-\s+/, ''))
    : trimmed.replace(/^\[(.*)\]$/s, '$1').split(',')
  return parts.map(unquote).filter((it) => it !== '')
}

function flowMap(text: string): unknown {
  const bare = text.trim().replace(/^\{(.*)\}$/s, '$1')
  const pairs = bare.split(',').map((it) => /^([^:]+):(.*)$/s.exec(it))
  if (pairs.some((it) => it === null)) return text
  return Object.fromEntries(pairs.map((it) => [unquote(it![1]!), unquote(it![2]!)]))
}

function unquote(text: string): string {
  return text.trim().replace(/^(['"])(.*)\1$/s, '$2')
}
