/** Plain data as YAML text in block form, for the configuration files a demo shows to people. */

export type Plain =
  | string
  | number
  | boolean
  | readonly Plain[]
  | { readonly [key: string]: Plain | undefined }

/** Block YAML; strings that could be read as something else are quoted the JSON way. */
export function yamlText(value: { readonly [key: string]: Plain | undefined }): string {
  const text = lines(value)
  return `${typeof text === 'string' ? text : text.join('\n')}\n`
}

function lines(value: Plain): readonly string[] | string {
  if (typeof value === 'string') return scalarText(value)
  if (typeof value !== 'object') return String(value)
  if (Array.isArray(value)) return value.length === 0 ? '[]' : value.flatMap(itemLines)
  const mapping = mappingLines(value as { readonly [key: string]: Plain | undefined })
  return mapping.length === 0 ? '{}' : mapping
}

function mappingLines(value: { readonly [key: string]: Plain | undefined }): string[] {
  return Object.entries(value).flatMap(([key, inner]) => {
    if (inner === undefined) return []
    const text = lines(inner)
    const name = scalarText(key)
    return typeof text === 'string'
      ? [`${name}: ${text}`]
      : [`${name}:`, ...text.map((line) => `  ${line}`)]
  })
}

function itemLines(item: Plain): string[] {
  const text = lines(item)
  if (typeof text === 'string') return [`- ${text}`]
  return text.map((line, at) => (at === 0 ? `- ${line}` : `  ${line}`))
}

/** Words that YAML 1.1 readers take for booleans, null or numbers, whatever their case. */
const RESERVED = /^(y|n|yes|no|on|off|true|false|null|e([^a-z].*)?)$/i
const PLAIN = /^[A-Za-z_/][A-Za-z0-9_./-]*$/

function scalarText(text: string): string {
  return PLAIN.test(text) && !RESERVED.test(text) ? text : JSON.stringify(text)
}
