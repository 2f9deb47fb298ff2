/** A fault in a sink costs its own connection: the process and the other connections live on. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { DEAF, PlainWire } from '../../../src/io/sockets/wire.ts'
import { until } from '../../rig/wait.ts'

test('a sink that throws is told so, once, and its wire is destroyed', async (t) => {
  const server = net.createServer((socket) => socket.end('bytes')).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  for (const method of ['onChunk', 'onEnd', 'onClose'] as const) {
    const bugs: unknown[] = []
    const wire = new PlainWire({})
    const thrown = new Error(method)
    const fault = () => {
      throw thrown
    }
    wire.sink = { ...DEAF, onBug: (error) => bugs.push(error), [method]: fault }
    if (method === 'onClose') wire.once('end', () => wire.destroy())
    wire.connect({ port, host: '127.0.0.1' }, () => wire.resume())
    await until(() => bugs.length > 0, { limitMs: 5000, what: method })
    assert.deepEqual(bugs, [thrown])
    assert.equal(wire.destroyed, true)
  }
})
