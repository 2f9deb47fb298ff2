/** The settings table as a JSON Schema (draft 2020-12), for editors. Looser than the checker. */
import { acceptedWords, LIST_MAX } from './parse.ts'
import type { Setting, ValueType } from './setting.ts'
import { LISTENER_MODES } from './settings/router.ts'
import { type Node, TREE } from './tree.ts'

type Schema = Readonly<Record<string, unknown>>

export function buildJsonSchema(): Schema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'pgsteer node configuration',
    description: 'A Patroni configuration plus `router:` and `vip:`.',
    ...mapSchema(TREE, true),
    anyOf: [{ required: ['router'] }, { required: ['postgresql'] }],
  }
}

function nodeSchema(node: Node): Schema {
  const setting = node.setting!
  const about = { description: setting.says, ...defaultOf(setting) }
  switch (setting.type.kind) {
    case 'section':
      return { ...about, ...mapSchema(node, setting.lenient) }
    case 'sections':
      return {
        ...about,
        type: 'array',
        minItems: 1,
        maxItems: setting.type.max,
        items: mapSchema(node, false),
      }
    default:
      return setting.lenient ? about : { ...about, ...leafSchema(setting.type) }
  }
}

/**
 * Unknown keys are warnings, so the schema allows them. Required keys may also come from the
 * environment; only those inside list elements can't.
 */
function mapSchema(node: Node, lenient: boolean): Schema {
  const entries = [...node.children]
  const inList = node.setting?.type.kind === 'sections'
  const required = entries.filter(([, it]) => it.setting?.required === 'always').map(([key]) => key)
  return {
    type: lenient && node.setting !== null ? ['object', 'null'] : 'object',
    properties: Object.fromEntries(entries.map(([key, child]) => [key, nodeSchema(child)])),
    ...(inList && required.length > 0 ? { required } : {}),
  }
}

function defaultOf(setting: Setting): Schema {
  return setting.fallback === null ? {} : { default: setting.fallback }
}

type LeafType = Exclude<ValueType, { kind: 'section' } | { kind: 'sections' }>

const DURATION = '^(0|\\d+(\\.\\d+)?\\s*(ms|s|m|h))$'
const SIZE = '^\\d+(\\.\\d+)?\\s*(B|kB|MB|GB)?$'
const TEXT_OR_LIST = {
  anyOf: [
    { type: 'string', minLength: 1 },
    { type: 'array', minItems: 1, maxItems: LIST_MAX, items: { type: 'string' } },
  ],
}

function leafSchema(type: LeafType): Schema {
  switch (type.kind) {
    case 'text':
      return {
        type: ['string', 'number'],
        ...(type.pattern ? { pattern: type.pattern.source } : {}),
      }
    case 'pem':
    case 'host-port':
      return { type: 'string', minLength: 1 }
    case 'boolean':
      return { enum: [true, false, 'on', 'off', 'yes', 'no', 'true', 'false', 0, 1] }
    case 'integer':
      return integerSchema(type)
    case 'duration':
      return {
        anyOf: [{ type: 'string', pattern: DURATION }, { const: 0 }],
        $comment: acceptedWords(type),
      }
    case 'size':
      return {
        anyOf: [
          { type: 'string', pattern: SIZE },
          { type: 'integer', minimum: 0 },
        ],
      }
    case 'choice':
      return choiceSchema(type)
    case 'map':
      return { type: 'object' }
    case 'any':
      return {}
    default:
      return TEXT_OR_LIST
  }
}

function integerSchema(type: Extract<ValueType, { kind: 'integer' }>): Schema {
  const number = { type: 'integer', minimum: type.min, maximum: type.max }
  return type.or === undefined ? number : { anyOf: [{ const: type.or }, number] }
}

function choiceSchema(type: Extract<ValueType, { kind: 'choice' }>): Schema {
  if (type.anyCase === true) return { type: 'string', pattern: `^(?:${caseless(type.of)})$` }
  return { enum: type.of === LISTENER_MODES ? ['tunnel'] : type.of }
}

function caseless(words: readonly string[]): string {
  const letter = (it: string) => `[${it.toUpperCase()}${it.toLowerCase()}]`
  return words.map((word) => word.replaceAll(/[A-Za-z]/g, letter)).join('|')
}
