/** The settings table as text for people: the reference page and the commented sample. */
import { acceptedWords } from './parse.ts'
import { lastKey, type Setting } from './setting.ts'
import { SETTINGS } from './settings/index.ts'
import { type Node, TREE } from './tree.ts'

const SECTIONS: readonly (readonly [name: string, title: string])[] = [
  ['', 'Top level'],
  ['etcd3', 'etcd3'],
  ['router', 'router'],
  ['restapi', 'restapi'],
  ['ctl', 'ctl'],
  ['log', 'log'],
  ['vip', 'vip'],
  ['tags', 'tags'],
  ['watchdog', 'watchdog'],
  ['bootstrap', 'bootstrap'],
  ['postgresql', 'postgresql'],
]

const PREAMBLE = `# Settings

Generated from the table of settings; a test fails when this page is stale.

One YAML file holds a Patroni configuration and two sections of pgsteer's own, \`router\` and \`vip\`. The path may
also be a directory: all its \`*.yml\` and \`*.yaml\` files are merged in alphabetical order. YAML is read as
version 1.1, as Patroni does. The environment wins over the file. \`pgsteer check FILE\` reports every fault with
its line.

Durations take \`ms s m h\`, sizes \`kB MB GB\` (powers of 1024). Addresses are \`host:port\`, \`[ipv6]:port\`,
\`*:port\` for both families, or \`/directory:port\` for a unix socket. Lists in variables are written with commas;
\`PGSTEER_ROUTER_LISTENERS\` takes JSON. Settings of Patroni that pgsteer does not read yet are known, and a wrong
value there is a warning.
`

export function buildReference(): string {
  const parts = SECTIONS.map(([name, title]) => {
    const rows = SETTINGS.filter((it) => sectionOf(it) === name).map(tableRow)
    const head = '| setting | takes | default | variable | |\n| --- | --- | --- | --- | --- |'
    return `\n## ${title}\n\n${head}\n${rows.join('\n')}\n`
  })
  return PREAMBLE + parts.join('')
}

function sectionOf(setting: Setting): string {
  const first = setting.path.split('.')[0]!.replace('[]', '')
  return SECTIONS.some(([name]) => name === first) ? first : ''
}

function tableRow(setting: Setting): string {
  const takes = setting.lenient && setting.type.kind === 'any' ? '' : acceptedWords(setting.type)
  const needed = setting.required === 'no' ? '' : 'required'
  const standard = setting.fallback === null ? needed : `\`${setting.fallback}\``
  const variable = setting.env === null ? '' : `\`${setting.env}\``
  const cells = [`\`${setting.path}\``, takes, standard, variable, setting.says]
  return `| ${cells.join(' | ')} |`
}

const SAMPLE_HEAD = `# yaml-language-server: $schema=./pgsteer.schema.json
# A node that only routes: it follows a Patroni cluster in etcd and gives its clients fixed ports.
# Generated from the table of settings. Lines that begin with "#" and a key show defaults or examples.
# Check a changed copy with: pgsteer check FILE
`

const SAMPLE_LISTENERS = `  listeners:
    - {name: write, listen: "*:5000", target: primary}
    - {name: read, listen: "*:5001", target: replica, fallback: primary, max_lag: 16MB}
    # Each listener takes:
`

const SAMPLE_SECTIONS = ['scope', 'name', 'namespace', 'etcd3', 'router', 'restapi', 'ctl', 'log']
const SAMPLE_LEFT_OUT = ['router.pool', 'router.auth', 'router.admin']
/** Written as live lines; all others as comments. */
const SAMPLE_LIVE = ['scope', 'name', 'etcd3', 'etcd3.hosts', 'router']

/** A complete sample of a router-only node that passes the check as it is. */
export function buildSample(): string {
  const nodes = SAMPLE_SECTIONS.map((key) => TREE.children.get(key)!)
  return SAMPLE_HEAD + nodes.map((node) => `\n${sampleNode(node, 0)}`).join('')
}

function sampleNode(node: Node, depth: number): string {
  const setting = node.setting!
  const live = SAMPLE_LIVE.includes(setting.path)
  if (setting.type.kind === 'sections') return SAMPLE_LISTENERS + sampleListener(node)
  if (setting.type.kind !== 'section') return sampleLeaf(setting, depth, live)
  const children = [...node.children.values()].filter(isShown)
  const inside = children.map((it) => sampleNode(it, depth + 1)).join('')
  const pad = '  '.repeat(depth)
  return `${comment(setting.says, pad)}${pad}${live ? '' : '# '}${lastKey(setting.path)}:\n${inside}`
}

function isShown(node: Node): boolean {
  const { path, sample, fallback, type, lenient } = node.setting!
  const example = sample !== null || fallback !== null || /^sections?$/.test(type.kind)
  return example && !lenient && !SAMPLE_LEFT_OUT.includes(path)
}

function sampleLeaf(setting: Setting, depth: number, live: boolean): string {
  const pad = '  '.repeat(depth)
  const line = `${live ? '' : '# '}${lastKey(setting.path)}: ${setting.sample ?? setting.fallback}`
  return `${comment(setting.says, pad)}${pad}${line}\n`
}

function sampleListener(node: Node): string {
  const pad = '    '
  const lines = [...node.children.values()].map(({ setting }) => {
    const line = `${lastKey(setting!.path)}: ${setting!.sample ?? setting!.fallback}`
    return `${comment(setting!.says, `${pad}#   `)}${pad}#   ${line}\n`
  })
  return lines.join('')
}

function comment(says: string, pad: string): string {
  const lead = `${pad}# `
  return `${wrap(says, 98 - lead.length)
    .map((line) => `${lead}${line}`)
    .join('\n')}\n`
}

function wrap(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const last = lines.at(-1)!
    if (last !== '' && last.length + word.length + 1 > width) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines
}
