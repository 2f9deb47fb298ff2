/**
 * House rules as a test. Which folder may import what is data at the top; nobody has to remember it.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative, resolve } from 'node:path'
import { describe, test } from 'node:test'

const ROOT = resolve(import.meta.dirname, '..')

/** Folder of src -> folders it may import; `type:` only types. A folder may always import itself. */
const IMPORTS: Readonly<Record<string, readonly string[]>> = {
  kit: [],
  'core/cluster': ['kit'],
  'core/pgwire': ['kit'],
  'core/routing': ['core/cluster', 'kit'],
  'core/fleet': ['core/routing', 'core/cluster', 'kit'],
  'core/api': ['core/cluster', 'kit', 'type:core/routing', 'type:core/fleet'],
  'core/config': ['kit', 'type:core/routing', 'type:core/fleet', 'type:core/cluster'],
  io: ['core', 'kit'],
  app: ['core', 'io', 'kit'],
  main: ['app', 'core', 'io', 'kit'],
}

/** Closed lists beside the types they belong to: their values may go where the types may. */
const VOCABULARIES = new Set(['src/core/routing/types.ts', 'src/core/fleet/messages.ts'])

/** One dependency, one owner. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  etcd3: ['io/etcd'],
  pino: ['io/telemetry'],
  'pino-pretty': ['io/telemetry'],
  'prom-client': ['io/telemetry'],
  yaml: ['io/files'],
  fastify: ['io/http'],
  commander: ['app/ctl', 'main'],
  zod: ['core/config', 'core/cluster'],
  'pg-protocol': ['core/pgwire'],
  pg: ['app/demo'],
}

/** Of Node, core and kit may use what is a pure function of its arguments. */
const PURE_NODE_MODULES: readonly string[] = [
  'node:buffer',
  'node:net#isIP,isIPv4,isIPv6,BlockList',
]

const TOP_LEVEL = new Set([
  ...['package.json', 'package-lock.json', 'tsconfig.json', 'biome.json', 'README.md', 'LICENSE'],
  ...['CHANGELOG.md', 'src', 'config', 'test', 'deploy', 'keepalived'],
])

const LINES_MAX = 400
/** Where a timer is a limit or the turn of a loop that asks for a condition. */
const MAY_SLEEP = new Set(['test/rig/wait.ts', 'test/rig/etcd.ts', 'test/io/etcd/relay.ts'])

type Import = {
  readonly from: string
  readonly typeOnly: boolean
  readonly names: readonly string[]
}

describe('imports', () => {
  const files = listSources('src')

  test('there is something to check', () => {
    assert.ok(files.length > 10)
    assert.ok(files.some((file) => importsOf(file).length > 2))
  })

  test('every arrow between folders is in the table', () => {
    const faults = files.flatMap((file) =>
      importsOf(file)
        .filter(({ from }) => from.startsWith('.'))
        .filter((it) => !isAllowed(file, it))
        .map(({ from }) => `${file} must not import ${from}`),
    )
    assert.deepEqual(faults, [])
  })

  test('every npm package is imported by its owner only', () => {
    const faults = files.flatMap((file) =>
      importsOf(file)
        .filter(({ from }) => !from.startsWith('.') && !from.startsWith('node:'))
        .filter(({ from }) => !ownersOf(from).some((owner) => isIn(file, owner)))
        .map(
          ({ from }) => `${file} must not import ${from} (owners: ${ownersOf(from).join(', ')})`,
        ),
    )
    assert.deepEqual(faults, [])
  })

  test('core and kit use nothing of Node that acts', () => {
    const faults = files
      .filter((file) => isIn(file, 'core') || isIn(file, 'kit'))
      .flatMap((file) =>
        importsOf(file)
          .filter((it) => it.from.startsWith('node:') && !it.typeOnly && !isPureNode(it))
          .map(({ from }) => `${file} must not import ${from}`),
      )
    assert.deepEqual(faults, [])
  })

  test('core reads no clock, draws no numbers, waits for nothing', () => {
    const acts =
      /\b(Date\.now|new Date\(\)|performance\.now|Math\.random|setTimeout|setInterval|await)\b/
    const faults = files
      .filter((file) => isIn(file, 'core') || isIn(file, 'kit'))
      .filter((file) => acts.test(withoutComments(read(file))))
    assert.deepEqual(faults, [])
  })

  test('what src imports is a dependency, not a tool', () => {
    const { dependencies } = JSON.parse(read('package.json')) as {
      dependencies: Record<string, string>
    }
    const used = new Set(
      files
        .flatMap(importsOf)
        .flatMap(({ from }) => (/^[.]|^node:/.test(from) ? [] : packageName(from))),
    )
    assert.deepEqual(
      [...used].filter((name) => !(name in dependencies)),
      [],
    )
  })
})

describe('files', () => {
  const files = [...listSources('src'), ...listSources('test')]

  test(`none has ${LINES_MAX} lines or more`, () => {
    const long = files.filter((file) => read(file).split('\n').length > LINES_MAX)
    assert.deepEqual(long, [])
  })

  test('every source opens with what it is for', () => {
    const silent = listSources('src').filter((file) => !/^(#!.*\n)?\/[/*]/.test(read(file)))
    assert.deepEqual(silent, [])
  })

  test('tests wait for conditions, with `until`, and never just sleep', () => {
    const sleeps = /timers\/promises|new Promise[^;]{0,60}setTimeout\(\s*(resolve|r|done)\b/
    const faults = listSources('test')
      .filter((file) => !MAY_SLEEP.has(file) && file !== 'test/tidy.test.ts')
      .filter((file) => sleeps.test(read(file)))
    assert.deepEqual(faults, [])
  })

  test('the lock file has an entry for each optional package, or `npm ci` refuses it', () => {
    const { packages } = JSON.parse(read('package-lock.json')) as {
      packages: Record<string, { optionalDependencies?: Record<string, string> }>
    }
    const wanted = Object.values(packages).flatMap((it) =>
      Object.keys(it.optionalDependencies ?? {}),
    )
    const missing = wanted.filter((name) => !(`node_modules/${name}` in packages))
    assert.ok(wanted.length > 0)
    assert.deepEqual(missing, [])
  })

  test('the top level holds nothing else', () => {
    const found = readdirSync(ROOT).filter((name) => !name.startsWith('.') && !isIgnored(name))
    assert.deepEqual(
      found.filter((name) => !TOP_LEVEL.has(name)),
      [],
    )
  })
})

function isAllowed(file: string, { from, typeOnly }: Import): boolean {
  const target = normalize(join(dirname(file), from))
  if (!target.startsWith('src/')) return false
  const here = folderOf(file)
  const there = folderOf(target)
  if (here === there) return true
  const rule = IMPORTS[here] ?? IMPORTS[here.split('/')[0] ?? ''] ?? []
  const top = here.split('/')[0]
  if (top === 'app' && isIn(target, 'app')) return true
  return rule.some((entry) => {
    const folder = entry.replace(/^type:/, '')
    return (
      (typeOnly || VOCABULARIES.has(target) || folder === entry) &&
      (there === folder || there.startsWith(`${folder}/`))
    )
  })
}

/** `src/core/routing/pick.ts` -> `core/routing`; `src/kit/x.ts` -> `kit`; `src/main.ts` -> `main`. */
function folderOf(file: string): string {
  const [, top = '', second = ''] = file.split('/')
  if (second === '') return top.replace(/\.ts$/, '')
  return (top === 'core' || top === 'io') && !second.endsWith('.ts') ? `${top}/${second}` : top
}

function isIn(file: string, folder: string): boolean {
  return file === `src/${folder}.ts` || file.startsWith(`src/${folder}/`)
}

function ownersOf(from: string): readonly string[] {
  return OWNERS[packageName(from)] ?? []
}

function packageName(from: string): string {
  return from
    .split('/')
    .slice(0, from.startsWith('@') ? 2 : 1)
    .join('/')
}

function isPureNode({ from, names }: Import): boolean {
  return PURE_NODE_MODULES.some((entry) => {
    const [module, pure] = entry.split('#')
    return (
      module === from && (pure === undefined || names.every((it) => pure.split(',').includes(it)))
    )
  })
}

const IMPORT =
  /^\s*(?:import|export)\s+(type\s+)?(?:([^'";]*?)\s+from\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm

/** Static and dynamic imports and re-exports; `import { type A, type B }` counts as of types only. */
function importsOf(file: string): Import[] {
  return [...withoutComments(read(file)).matchAll(IMPORT)].map((match) => {
    const names = /\{([^}]*)\}/.exec(match[2] ?? '')?.[1]?.split(',') ?? []
    const trimmed = names.map((name) => name.trim()).filter((name) => name !== '')
    const onlyTypes = trimmed.length > 0 && trimmed.every((name) => name.startsWith('type '))
    return {
      from: match[3] ?? match[4] ?? '',
      typeOnly: match[1] !== undefined || (onlyTypes && /^\{/.test(match[2] ?? '')),
      names: trimmed.filter((name) => !name.startsWith('type ')),
    }
  })
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '$1')
}

function listSources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .sort()
}

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8')
}

/** By git where there is one; a tarball has only what is packed. */
function isIgnored(name: string): boolean {
  if (['node_modules', 'dist', 'coverage'].includes(name)) return true
  if (!existsSync(join(ROOT, '.git'))) return false
  try {
    execFileSync('git', ['check-ignore', '-q', name], { cwd: ROOT })
    return true
  } catch {
    return false
  }
}
