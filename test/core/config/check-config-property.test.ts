/** What must hold for any document and any environment. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkConfig } from '../../../src/core/config/index.ts'
import { SETTINGS } from '../../../src/core/config/settings/index.ts'

const nowhere = () => null

const good = (router: object = {}) => ({
  scope: 'demo',
  name: 'n1',
  etcd3: { hosts: ['127.0.0.1:2379'] },
  router: {
    listeners: [{ name: 'write', listen: '0.0.0.0:5000', target: 'primary' }],
    ...router,
  },
})

test('secrets are never repeated', () => {
  const secret = 'hunter2hunter2'
  const hidden = SETTINGS.filter((it) => it.secret).map((it) => it.path)
  assert.ok(hidden.includes('etcd3.password') && hidden.includes('etcd3.url'))
  for (const path of [...hidden, 'restapi.authentication', 'ctl', 'router', 'postgresql']) {
    const keys = path.split('.')
    for (const value of [
      { [secret]: secret },
      [secret, [secret]],
      `ftp://u:${secret}@x/`,
      secret,
      false,
    ]) {
      const nested = keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value)
      const { problems } = checkConfig({ ...good(), ...(nested as object) }, nowhere, {})
      const told = JSON.stringify(problems.map((it) => it.message))
      assert.ok(!told.includes(secret), `${path}: ${told}`)
    }
  }
})

test('no JSON makes it throw', () => {
  const keys = [...new Set(SETTINGS.flatMap((it) => it.path.replaceAll('[]', '').split('.')))]
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.jsonValue(),
      fc.constantFrom('*:5000', '5s', '16MB', 'verify-ca', 'primary', 'http://x', 0, -1, 1e300),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...keys, '__proto__', 'constructor'), tie('tree')),
    ),
  }))
  fc.assert(
    fc.property(tree, fc.constantFrom('run', 'ctl'), (source, purpose) => {
      for (const it of [source, { ...good(), ...(source as object) }, good(source as object)]) {
        const { config, problems } = checkConfig(it, nowhere, {}, purpose)
        assert.equal(
          config === null,
          problems.some((p) => p.severity === 'error'),
        )
      }
    }),
    { numRuns: 500 },
  )
})

test('no environment makes it throw', () => {
  const names = SETTINGS.flatMap((it) => (it.env === null ? [] : [it.env]))
  const env = fc.dictionary(fc.constantFrom(...names), fc.oneof(fc.string(), fc.json()))
  fc.assert(
    fc.property(env, (it) => {
      checkConfig(good(), nowhere, it)
    }),
    { numRuns: 300 },
  )
})

test('credentials in an endpoint are not repeated either', () => {
  const source = { ...good(), etcd3: { hosts: ['http://u:hunter2@e:2379'] } }
  const { problems } = checkConfig(source, nowhere, {})
  assert.equal(problems[0]?.path, 'etcd3.hosts[0]')
  assert.ok(!problems[0].message.includes('hunter2'))
})
