/**
 * The language of the stories: one event a line; events of one line joined by `;` are one step.
 *
 *   listener NAME TARGET [fallback=primary] [balance=roundrobin] [max_lag=16MB]
 *   leader NAME [term N] | leader gone | late leader NAME term N
 *   member NAME ROLE STATE [lag=BYTES|?] [replication=TEXT] [noloadbalance] [at=HOST] | member NAME gone
 *   sync NAME... | sync off
 *   switchover FROM [to NAME] [in 5s] | failover to NAME | switchover cleared
 *   config [paused] [standby-cluster] [ttl=30s] | store restored | position N
 *   sighting NAME primary|leading|denying|standby|not-running|unreachable [ago 100ms]
 *   trouble NAME KIND [ago 100ms] | etcd lost [ago 12s] | etcd live | advance 2s
 *
 * `leading` and `denying` are a primary that says it holds, or does not hold, the lock.
 */
import type { Member, MemberRole } from '../../../src/core/cluster/types.ts'
import type { Answer } from '../../../src/core/routing/decide.ts'
import type { Balance, Target, TroubleKind } from '../../../src/core/routing/types.ts'
import { parseDuration, parseSize } from '../../../src/kit/units.ts'
import { CONFIG, memberNamed } from '../../core/routing/build.ts'
import type { Change, World } from './world.ts'

type Play = (world: World, words: readonly string[]) => Change | undefined

const ANSWERS: Readonly<Record<string, Answer>> = {
  primary: { kind: 'primary', holdsLock: null },
  leading: { kind: 'primary', holdsLock: true },
  denying: { kind: 'primary', holdsLock: false },
  standby: { kind: 'standby' },
  'not-running': { kind: 'not-running', state: 'starting' },
  unreachable: { kind: 'unreachable', why: 'no answer in time' },
}

const PLAYS: Readonly<Record<string, Play>> = {
  listener,
  leader,
  member,
  sync,
  switchover,
  failover: switchover,
  config,
  store,
  etcd,
  sighting: (world, [name, kind, ...rest]) => {
    const answer = ANSWERS[kind ?? ''] ?? fail(`no such answer: ${kind}`)
    return { sightings: [{ member: name!, atMs: agoOf(world, rest), answer }] }
  },
  trouble: (world, [name, what, ...rest]) => {
    const kind = what as TroubleKind
    return { troubles: [{ member: name!, what: kind, atMs: agoOf(world, rest) }] }
  },
  position: (world, [at]) => {
    world.put(() => ({ leaderPosition: Number(at) }))
    return undefined
  },
}

/** Plays one line. A line takes one millisecond, so what comes later is newer. */
export function playLine(world: World, line: string): void {
  const events = line.split(';').map((event) => event.trim().split(/\s+/))
  if (events[0]![0] === 'advance') return world.advance(msOf(events[0]![1]))
  world.nowMs += 1
  if (events[0]![0] === 'late') return playLate(world, events[0]!.slice(1))
  const changes = events.map(([verb, ...words]) => {
    const play = PLAYS[verb ?? ''] ?? fail(`no such event: ${verb}`)
    return play(world, words)
  })
  world.step({
    sightings: changes.flatMap((change) => change?.sightings ?? []),
    troubles: changes.flatMap((change) => change?.troubles ?? []),
  })
}

/** A view of the past, delivered now. */
function playLate(world: World, [, name, , term]: readonly string[]): void {
  const created = Number(term)
  const key = { member: name!, term: { store: world.view.store, created, changed: created } }
  world.step({}, { ...world.view, revision: created, leader: key })
}

function listener(world: World, [name, target, ...rest]: readonly string[]): undefined {
  const balance = (optionOf(rest, 'balance') ?? 'leastconn') as Balance
  const fallback = optionOf(rest, 'fallback') === 'primary' ? 'primary' : null
  const maxLagBytes = parseSize(optionOf(rest, 'max_lag'))
  world.policies.push({ name: name!, target: target as Target, fallback, balance, maxLagBytes })
}

function leader(world: World, [name, , term]: readonly string[]): undefined {
  if (name === 'gone') return world.put(() => ({ leader: null })) as undefined
  world.put((next) => {
    const created = term === undefined ? next : Number(term)
    const key = { member: name!, term: { store: world.view.store, created, changed: created } }
    return { leader: key, revision: Math.max(next, created) }
  })
}

function member(world: World, [name, role, state, ...rest]: readonly string[]): undefined {
  if (role === 'gone') {
    const members = world.view.members.filter((one) => one.name !== name)
    return world.put(() => ({ members })) as undefined
  }
  world.putMember(memberNamed(name!, memberFacts(world, name!, role as MemberRole, state!, rest)))
}

function memberFacts(
  world: World,
  name: string,
  role: MemberRole,
  state: string,
  rest: readonly string[],
): Partial<Member> {
  const lag = optionOf(rest, 'lag') ?? '0'
  const position = lag === '?' ? null : (world.view.leaderPosition ?? 0) - (parseSize(lag) ?? 0)
  const streams = role === 'replica' ? 'streaming' : null
  const replicationState = optionOf(rest, 'replication') ?? streams
  const tags = rest.includes('noloadbalance') ? { noloadbalance: true } : {}
  const host = optionOf(rest, 'at') ?? `${name}.test`
  return { role, host, state: state.replaceAll('_', ' '), position, replicationState, tags }
}

function sync(world: World, names: readonly string[]): undefined {
  const leader = world.view.leader?.member ?? ''
  const standbys = names[0] === 'off' ? null : { leader, standbys: names, quorum: 0 }
  world.put(() => ({ sync: standbys }))
}

function switchover(world: World, words: readonly string[]): undefined {
  if (words[0] === 'cleared') return world.put(() => ({ failover: null })) as undefined
  const from = words[0] === 'to' ? null : words[0]!
  const candidate = words.includes('to') ? words[words.indexOf('to') + 1]! : null
  const delay = words.includes('in') ? msOf(words[words.indexOf('in') + 1]) : null
  const scheduledAtMs = delay === null ? null : world.nowMs + delay
  world.put((changed) => ({ failover: { leader: from, candidate, scheduledAtMs, changed } }))
}

function config(world: World, words: readonly string[]): undefined {
  const paused = words.includes('paused')
  const standbyCluster = words.includes('standby-cluster')
  const ttlMs = parseDuration(optionOf(words, 'ttl') ?? '30s')!
  world.put(() => ({ config: { ...CONFIG, paused, standbyCluster, ttlMs } }))
}

/** The keys come back from a backup: revisions count from the start again. */
function store(world: World): undefined {
  const { store: before, leader: key, members } = world.view
  const term = { store: before + 1, created: 1, changed: 1 }
  world.put(() => ({
    store: before + 1,
    revision: 2,
    leader: key === null ? null : { ...key, term },
    members: members.map((one) => ({ ...one, changed: 1 })),
  }))
}

function etcd(world: World, [health, ...rest]: readonly string[]): undefined {
  const lost = { kind: 'lost', sinceMs: agoOf(world, rest), why: 'no endpoint answers' } as const
  world.etcd = health === 'lost' ? lost : { kind: 'live' }
}

function agoOf(world: World, [ago, ms]: readonly string[]): number {
  return ago === 'ago' ? world.nowMs - msOf(ms) : world.nowMs
}

function optionOf(words: readonly string[], name: string): string | undefined {
  return words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1)
}

function msOf(text: string | undefined): number {
  return parseDuration(text) ?? fail(`not a duration: ${text}`)
}

function fail(what: string): never {
  throw new Error(what)
}
