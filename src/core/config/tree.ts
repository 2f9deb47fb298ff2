/** The settings table as a tree, to be walked beside a YAML document. */
import type { Setting } from './setting.ts'
import { SETTINGS } from './settings/index.ts'

export type Node = {
  readonly setting: Setting | null
  readonly children: ReadonlyMap<string, Node>
}

type Growing = { setting: Setting | null; children: Map<string, Growing> }

export const TREE: Node = buildTree(SETTINGS)

function buildTree(settings: readonly Setting[]): Node {
  const root: Growing = { setting: null, children: new Map() }
  for (const setting of settings) {
    let at = root
    for (const key of setting.path.replaceAll('[]', '').split('.')) at = child(at, key)
    if (at.setting !== null) throw new Error(`setting ${setting.path} is in the table twice`)
    at.setting = setting
  }
  return root
}

function child(node: Growing, key: string): Growing {
  const found = node.children.get(key) ?? { setting: null, children: new Map() }
  node.children.set(key, found)
  return found
}
