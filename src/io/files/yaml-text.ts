/**
 * YAML text → plain object, with the place of every key. Read as YAML 1.1, which is what Patroni's
 * files are written in (`on`, `off` and `yes` are booleans there).
 */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml'
import type { Place, Problem } from '../../core/config/index.ts'

/** Aliases one text may expand to: enough for any real file, too few for a bomb. */
const ALIASES_MAX = 1000

export type YamlText = {
  /** Null when the text is no YAML; then `problems` says why. */
  readonly source: { readonly value: unknown } | null
  readonly locate: (path: readonly (string | number)[]) => Place | null
  readonly problems: readonly Problem[]
}

export function parseYaml(text: string): YamlText {
  const lines = new LineCounter()
  const options = { version: '1.1', prettyErrors: false, lineCounter: lines, merge: true } as const
  const document = parseDocument(text, options)
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  const problems = [
    ...document.errors.map((it) => syntaxProblem('error', it, text, at)),
    ...document.warnings.map((it) => syntaxProblem('warning', it, text, at)),
    ...unknownAliases(document, at),
  ]
  const fatal = document.errors.some((it) => it.code !== 'DUPLICATE_KEY')
  const dangling = problems.length > document.errors.length + document.warnings.length
  const plain = fatal || dangling ? null : toPlain(document)
  if (plain === 'too-many-aliases') problems.push(problem('error', 'found too many aliases', null))
  const source = plain === 'too-many-aliases' ? null : plain
  return { source, locate: (path) => locate(document, path, at), problems }
}

function toPlain(document: Document): { value: unknown } | 'too-many-aliases' {
  try {
    return { value: document.toJS({ maxAliasCount: ALIASES_MAX }) }
  } catch {
    return 'too-many-aliases'
  }
}

/** These messages of the parser repeat the text, which may be a password. */
const TELLTALES = ['UNEXPECTED_TOKEN', 'TAG_RESOLVE_FAILED', 'BAD_SCALAR_START', 'BAD_DQ_ESCAPE']

type At = (offset: number) => Place

function syntaxProblem(
  severity: Problem['severity'],
  error: YAMLError,
  text: string,
  at: At,
): Problem {
  const place = at(error.pos[0])
  if (error.code === 'DUPLICATE_KEY') {
    const key = /^[\w.-]{1,60}/.exec(text.slice(error.pos[0]))?.[0] ?? 'a key'
    return problem(severity, `found the key \`${key}\` twice in one map; accepted: once`, place)
  }
  const what = TELLTALES.includes(error.code)
    ? error.code.toLowerCase().replaceAll('_', ' ')
    : error.message.split('\n')[0]!
  return problem(severity, `YAML can't be read here: ${what}`, place)
}

function unknownAliases(document: Document, at: At): Problem[] {
  const found: Problem[] = []
  visit(document, {
    Alias: (_, node) => {
      if (node.resolve(document) !== undefined) return
      const hint = 'accepted: a known anchor, or quotes around text that begins with * ("*:5000")'
      const words = `found an alias to an anchor that does not exist; ${hint}`
      found.push(problem('error', words, at(node.range?.[0] ?? 0)))
    },
  })
  return found
}

function problem(severity: Problem['severity'], message: string, place: Place | null): Problem {
  return {
    severity,
    path: '',
    line: place?.line ?? null,
    column: place?.column ?? null,
    message,
  }
}

/** The place of a map's key or a list's element. */
function locate(document: Document, path: readonly (string | number)[], at: At): Place | null {
  let node = isNode(document.contents) ? document.contents : null
  let offset = node?.range?.[0] ?? 0
  for (const step of path) {
    const [place, value] = stepInto(resolve(node, document), step)
    if (place === null) return null
    offset = place
    node = value
  }
  return at(offset)
}

function stepInto(node: Node | null, step: string | number): [number | null, Node | null] {
  if (isSeq(node) && typeof step === 'number') {
    const item = node.items[step]
    return isNode(item) ? [item.range?.[0] ?? null, item] : [null, null]
  }
  if (!isMap(node)) return [null, null]
  const pair = node.items.findLast((it) => isScalar(it.key) && String(it.key.value) === step)
  const key = pair?.key
  if (!isNode(key)) return [null, null]
  return [key.range?.[0] ?? null, isNode(pair?.value) ? pair.value : null]
}

function resolve(node: Node | null, document: Document): Node | null {
  return isAlias(node) ? (node.resolve(document) ?? null) : node
}
