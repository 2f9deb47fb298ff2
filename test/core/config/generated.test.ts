/** The committed copies of what the settings table generates; PGSTEER_REWRITE=1 writes them anew. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { buildReference, buildSample } from '../../../src/core/config/reference.ts'
import { buildJsonSchema } from '../../../src/core/config/schema.ts'
import { SETTINGS } from '../../../src/core/config/settings/index.ts'

const COPIES: readonly [string, () => string][] = [
  ['REFERENCE.md', buildReference],
  ['pgsteer.yml', buildSample],
  ['pgsteer.schema.json', () => `${JSON.stringify(buildJsonSchema(), null, 2)}\n`],
]

for (const [name, build] of COPIES) {
  test(`config/${name} is what the table of settings says`, () => {
    const file = new URL(`../../../config/${name}`, import.meta.url)
    if (process.env['PGSTEER_REWRITE'] === '1') writeFileSync(file, build())
    assert.ok(
      readFileSync(file, 'utf8') === build(),
      `config/${name} is stale: run this test once with PGSTEER_REWRITE=1`,
    )
  })
}

test('every setting has a parent in the table and a variable of its own', () => {
  const paths = new Set(SETTINGS.map((it) => it.path))
  for (const { path, says } of SETTINGS) {
    const parent = path.slice(0, Math.max(path.lastIndexOf('.'), 0)).replace(/\[\]$/, '')
    assert.ok(parent === '' || paths.has(parent), path)
    assert.match(says, /\.$/, path)
  }
  const variables = SETTINGS.flatMap((it) => (it.env === null ? [] : [it.env]))
  assert.equal(new Set(variables).size, variables.length)
})
