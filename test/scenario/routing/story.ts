/**
 * Stories: blocks of events, a line `----`, and what the routes are then. Lines that begin with `#`
 * are for the reader. `play` answers the same text with what really happened below each `----`.
 */
import type { RoutingStep } from '../../../src/core/routing/decide.ts'
import type { Keeper, Route } from '../../../src/core/routing/types.ts'
import { playLine } from './events.ts'
import { World } from './world.ts'

const RULE = '----'

export type Played = { readonly text: string; readonly causes: ReadonlySet<string> }

/** Plays a story; `causes` are all causes for holding that it showed. */
export function play(story: string): Played {
  const world = new World()
  const causes = new Set<string>()
  const blocks = story.trim().split(/\n{2,}/)
  const text = blocks.map((block) => playBlock(world, block, causes)).join('\n\n')
  return { text: `${text}\n`, causes }
}

function playBlock(world: World, block: string, causes: Set<string>): string {
  const lines = block.split('\n')
  const rule = lines.indexOf(RULE)
  const events = rule < 0 ? lines : lines.slice(0, rule)
  for (const line of events.filter((one) => !one.startsWith('#'))) playLine(world, line)
  if (rule < 0) return block
  const { step, notes } = world.tell()
  for (const cause of causesOf(step)) causes.add(cause)
  const said = notes.map(({ because, words }) => `  note  ${because}: ${words}`)
  return [...events, RULE, ...describe(world, step), ...said].join('\n')
}

function describe(world: World, step: RoutingStep): string[] {
  const { table, checks } = step
  const routes = world.policies.map(({ name, target }) => {
    return `${name.padEnd(6)}  ${describeRoute(table.listeners[name]![target])}`
  })
  const { primary, replicaNot } = table.keep
  const keepers = primary?.map(describeKeeper).join(' ') || 'nobody'
  const writers = primary === null ? 'anywhere' : `on ${keepers}`
  const readers = replicaNot.length === 0 ? 'anywhere' : `not on ${replicaNot.join(' ')}`
  const asked = checks.map(({ member, path, everyMs }) => `${member}${path} every ${everyMs} ms`)
  const term = table.term === null ? 'none' : `${table.term.store}/${table.term.created}`
  const stale = table.stale ? ', stale' : ''
  return [
    ...routes,
    `  keep  writers ${writers}, readers ${readers}`,
    `  term  ${term}, leader ${table.leader ?? 'none'}${stale}`,
    ...asked.map((check) => `  ask   ${check}`),
  ]
}

/** Just the name when it is at the address that members of stories have. */
function describeKeeper({ member, addresses }: Keeper): string {
  if (addresses === null) return `${member} anywhere`
  const hosts = addresses.map(({ host }) => host)
  return hosts.join() === `${member}.test` ? member : `${member} at ${hosts.join(' and ')}`
}

function describeRoute(route: Route): string {
  if (route.kind === 'held') return `held  ${route.cause}: ${route.words}`
  return `open  ${route.backends.map(({ member, role }) => `${member}(${role})`).join(' ')}`
}

function causesOf({ table }: RoutingStep): string[] {
  const routes = Object.values(table.listeners).flatMap((targets) => Object.values(targets))
  return routes.flatMap((route) => (route.kind === 'held' ? [route.cause] : []))
}
