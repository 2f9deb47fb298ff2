/**
 * Every story beside this file comes out as written. After a wanted change run this file with
 * `--update` and read the difference.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import type { HoldCause } from '../../../src/core/routing/types.ts'
import { play } from './story.ts'

const HERE = new URL('./', import.meta.url)
const isUpdate = process.argv.includes('--update')

/** `tsc` refuses this while a cause of the routing core is missing. */
const CAUSES: Readonly<Record<Exclude<HoldCause, 'primary-changing'>, true>> = {
  'cluster-unknown': true,
  'no-leader': true,
  'leader-not-a-member': true,
  'leader-not-out-of-recovery': true,
  'leader-unreachable': true,
  'leader-unproven-while-stale': true,
  'switchover-requested': true,
  'standby-cluster': true,
  'no-replica': true,
  'no-sync-standby': true,
  'no-member': true,
}

const shown = new Set<string>()
const stories = readdirSync(HERE).filter((name) => name.endsWith('.txt'))

for (const name of stories) {
  test(`story ${name}`, () => {
    const file = new URL(name, HERE)
    const written = readFileSync(file, 'utf8')
    const { text, causes } = play(written)
    for (const cause of causes) shown.add(cause)
    if (isUpdate) writeFileSync(file, text)
    else assert.equal(text, written)
  })
}

test('each cause for holding is in some story', () => {
  const missing = Object.keys(CAUSES).filter((cause) => !shown.has(cause))
  assert.deepEqual(missing, [])
})
