/**
 * A real cluster, recorded: Debian's Patroni 3.0.2, two nodes, synchronous mode. First `ttl` is
 * changed (new leases), then n2 hands over to n1, at last n2 is shut down. Lines are keys as read at
 * the start, then every watch event (status without change left out).
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import {
  isRunningPrimary,
  isStreamingReplica,
  isTag,
  lagBytes,
  syncStandbys,
} from '../../../src/core/cluster/members.ts'
import type { ClusterView, KeyValue } from '../../../src/core/cluster/types.ts'
import { buildView } from '../../../src/core/cluster/view.ts'

type Line = KeyValue | { readonly key: string; readonly deletedAt: number }

const file = new URL('recorded/patroni-3.0.2.ndjson', import.meta.url)
const lines = readFileSync(file, 'utf8').trimEnd().split('\n')

/** The views one after the other; the first seven lines are the start. */
function replay(): readonly ClusterView[] {
  const entries = new Map<string, KeyValue>()
  const views: ClusterView[] = []
  for (const [at, text] of lines.entries()) {
    const line = JSON.parse(text) as Line
    const deleted = 'deletedAt' in line
    if (deleted) entries.delete(line.key)
    else entries.set(line.key, line)
    const revision = deleted ? line.deletedAt : line.modRevision
    const snapshot = { store: 0, revision, entries: new Map(entries) }
    if (at >= 6) views.push(buildView(snapshot, views.at(-1)))
  }
  return views
}

/** One line a view, as far as routing cares; repeated lines once. */
function story(views: readonly ClusterView[]): readonly string[] {
  const told = views.map((view) => {
    const { leader, failover } = view
    const term = leader ? `${leader.member}@${leader.term.created}.${leader.term.changed}` : 'none'
    const members = view.members.map((m) => `${m.name} ${m.role} ${m.state}`).join(', ')
    const sync =
      syncStandbys(view)
        .map((m) => m.name)
        .join() || '-'
    return `${term} | ${members} | sync ${sync}${failover ? ' | wanted' : ''}`
  })
  return told.filter((line, at) => line !== told[at - 1])
}

test('a switchover of Patroni 3.0.2, event by event', () => {
  assert.deepEqual(story(replay()), [
    'n2@11.11 | n1 replica running, n2 primary running | sync n1',
    'n2@11.11 | n1 replica running, n2 primary running | sync n1 | wanted',
    'n2@11.11 | n1 replica running, n2 primary stopping | sync n1 | wanted',
    'none | n1 replica running, n2 primary stopping | sync n1 | wanted',
    'none | n1 replica running, n2 demoted stopping | sync n1 | wanted',
    'n1@238.238 | n1 replica running, n2 demoted stopping | sync - | wanted',
    'n1@238.238 | n1 replica running, n2 demoted stopping | sync -',
    'n1@238.238 | n1 promoted running, n2 demoted stopping | sync -',
    'n1@238.238 | n1 promoted running, n2 demoted stopped | sync -',
    'n1@238.238 | n1 primary running, n2 demoted stopped | sync -',
    'n1@238.238 | n1 primary running, n2 replica running | sync -',
    'n1@238.238 | n1 primary running, n2 replica running | sync n2',
    'n1@238.238 | n1 primary running, n2 replica running | sync -',
  ])
})

test('nothing of it is a fault', () => {
  assert.equal(replay().flatMap((view) => view.faults).length, 0)
})

test('new leases do not make a newer term', () => {
  const ttl = new Set(replay().map((view) => view.config.ttlMs))
  assert.deepEqual([...ttl], [20_000, 25_000])
  const puts = lines.filter((line) => line.includes('"key":"leader","value":"n2"'))
  assert.equal(puts.length, 2, 'the recording does hold a re-put of the leader key')
})

test('the end: one primary, one replica that wants no load', () => {
  const view = replay().at(-1)
  const [n1, n2] = view?.members ?? []
  assert.ok(view && n1 && n2)
  assert.equal(isRunningPrimary(n1), true)
  assert.equal(isStreamingReplica(n2), true)
  assert.equal(isTag(n2, 'noloadbalance'), true)
  assert.equal(lagBytes(view, n2), 40)
  assert.deepEqual([n1.apiUrl, n1.port], ['http://127.0.0.1:21011', 21021])
})
