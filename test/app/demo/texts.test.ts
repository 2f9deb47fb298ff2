/** What a demo writes for others to read, and whom it may end: pure parts. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parse } from 'yaml'
import { patroniConfig, TUNING } from '../../../src/app/demo/patroni-config.ts'
import { allPorts, NODES_MAX, planPorts } from '../../../src/app/demo/ports.ts'
import { worksIn } from '../../../src/app/demo/strangers.ts'
import { yamlText } from '../../../src/app/demo/yaml-text.ts'

const scalar = fc.oneof(
  fc.string(),
  fc.boolean(),
  fc.integer(),
  fc.constantFrom('on', 'No', '~', ''),
)
const { tree } = fc.letrec((tie) => ({
  tree: fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }),
  value: fc.oneof(
    { depthSize: 'small' },
    scalar,
    fc.array(tie('value'), { maxLength: 4 }),
    tie('tree'),
  ),
}))

describe('demo texts', () => {
  test('YAML of any plain data is read back the same, also by readers of YAML 1.1', () => {
    fc.assert(
      fc.property(tree, (value) => {
        const data = JSON.parse(JSON.stringify(value)) // without prototypes
        const text = yamlText(data)
        for (const version of ['1.1', '1.2'] as const) {
          assert.deepEqual(JSON.parse(JSON.stringify(parse(text, { version }))), data, text)
        }
      }),
      { numRuns: Number(process.env['RUNS'] ?? 100) },
    )
  })

  test('settings that are words of YAML stay words', () => {
    const config = patroniConfig({
      ...{ scope: 'demo', name: 'n1', dir: '/d/n1', postgresPort: 1, restPort: 2 },
      ...{ etcdHosts: ['127.0.0.1:3'], postgresBin: '/bin', tuning: TUNING },
      passwords: { superuser: '1e5', replication: 'b', rewind: 'c', app: 'd' },
      ...{ parameters: { fsync: 'on' }, tags: {} },
    })
    const read = parse(yamlText(config), { version: '1.1' })
    assert.equal(read.postgresql.authentication.superuser.password, '1e5')
    assert.equal(read.bootstrap.dcs.postgresql.parameters.fsync, 'on')
    assert.equal(read.bootstrap.dcs.failsafe_mode, true)
  })

  test('no port is planned twice, and all are in the documented blocks', () => {
    const ports = allPorts(planPorts(15000, NODES_MAX))
    assert.equal(new Set(ports).size, ports.length)
    assert.ok(ports.every((port) => port >= 15000 && port < 15000 + 10 * (NODES_MAX + 1)))
  })

  test('only what works for the demo is ended, not who looks at it', () => {
    const ours = [
      'node /x/src/main.ts run /tmp/d/n1/pgsteer.yml',
      'node /x/worker.js --socket /tmp/d/n1/run/control.sock --index 0',
      '/usr/bin/python3 /usr/bin/patroni /tmp/d/n1/patroni.yml',
      '/usr/lib/postgresql/15/bin/postgres -D /tmp/d/n1/data --port=1',
    ]
    const others = [
      'vim /tmp/d/n1/patroni.yml',
      'tail -f /tmp/d/n1/pgsteer.log',
      'node main.ts routes -c /tmp/d/n1/pgsteer.yml',
      'patronictl -c /tmp/d/n1/patroni.yml list',
      'node /x/src/main.ts run /tmp/d2/n1/pgsteer.yml',
      'postgres -D /tmp/d/n10/data',
      '',
    ]
    const works = (line: string) => worksIn('/tmp/d/n1', line.split(' '))
    assert.deepEqual(ours.filter(works), ours)
    assert.deepEqual(others.filter(works), [])
  })
})
