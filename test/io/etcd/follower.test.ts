/** The follower against one real etcd: what it shows, how fast, and how it notices another store. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Etcd3 } from 'etcd3'
import { openFollower } from '../../../src/io/etcd/follower.ts'
import { type EtcdRig, startEtcd, waitUntil } from '../../rig/etcd.ts'
import { pause } from '../../rig/wait.ts'
import { type Following, follow, PREFIX, plainSettings } from './following.ts'
import { startRelay, startSynSink } from './relay.ts'

const PORTS = { etcd: 21100, relay: 21110, sink: 21111, nobody: 21112 }
/** For an orderly close, with room for a busy machine. */
const EXIT_LIMIT_MS = 3000

describe('follower and one etcd', () => {
  let rig: EtcdRig
  let writer: Etcd3
  before(async () => {
    rig = await startEtcd({ ports: PORTS.etcd })
    writer = new Etcd3({ hosts: rig.endpoints[0]! })
  })
  after(async () => {
    writer.close()
    await rig.stop()
  })

  const clean = () => writer.delete().prefix('/').exec()
  async function whileFollowing(
    work: (following: Following) => Promise<void>,
    endpoints = rig.endpoints,
  ) {
    const following = follow(plainSettings(endpoints))
    try {
      await work(following)
    } finally {
      await following.follower.close()
    }
  }

  test('shows the prefix alone, with revisions and leases, and follows changes', async () => {
    await clean()
    const lease = writer.lease(60)
    const leaseId = await lease.grant()
    await writer.put(`${PREFIX}initialize`).value('77')
    await lease.put(`${PREFIX}leader`).value('n1')
    await writer.put('/service/demo2/leader').value('other')
    await writer.put('/service/demo').value('no slash')
    await whileFollowing(async (seen) => {
      await seen.shows('initialize=77 leader=n1')
      await seen.live()
      const entry = seen.snapshots.at(-1)!.snapshot.entries.get('leader')!
      assert.equal(entry.lease, leaseId)
      assert.equal(entry.createRevision, entry.modRevision)
      await writer.put(`${PREFIX}leader`).value('n2')
      await seen.shows('initialize=77 leader=n2')
      const changed = seen.snapshots.at(-1)!.snapshot
      assert.equal(changed.entries.get('leader')!.createRevision, entry.createRevision)
      assert.equal(changed.revision, changed.entries.get('leader')!.modRevision)
      await writer.delete().key(`${PREFIX}leader`).exec()
      await seen.shows('initialize=77')
      assert.deepEqual(
        seen.healths.map(({ kind }) => kind),
        ['live'],
      )
    })
    await lease.revoke()
  })

  test('one transaction is one snapshot, and old snapshots stay as they were', async () => {
    await clean()
    await whileFollowing(async (seen) => {
      await seen.live()
      const before = seen.snapshots.length
      const empty = seen.snapshots.at(-1)!.snapshot
      await writer
        .if('x', 'Version', '==', 0)
        .then(writer.put(`${PREFIX}a`).value('1'), writer.put(`${PREFIX}b`).value('2'))
        .commit()
      await seen.shows('a=1 b=2')
      assert.equal(seen.snapshots.length, before + 1)
      assert.equal(empty.entries.size, 0)
    })
  })

  test('loads more keys than fit a page and a value of a megabyte', async () => {
    await clean()
    const big = 'x'.repeat(1024 * 1024)
    for (let at = 0; at < 450; at++) await writer.put(`${PREFIX}members/${at}`).value(`${at}`)
    await writer.put(`${PREFIX}history`).value(big)
    await whileFollowing(async (seen) => {
      await seen.live()
      const { entries } = seen.snapshots.at(-1)!.snapshot
      assert.equal(entries.size, 451)
      assert.equal(entries.get('history')!.value.length, big.length)
      for (let at = 0; at < 450; at++) assert.equal(entries.get(`members/${at}`)!.value, `${at}`)
      // A transaction larger than one answer may be comes in parts that belong together.
      const puts = ['p', 'q', 'r'].map((key) =>
        writer.put(`${PREFIX}${key}`).value(key.repeat(450 * 1024)),
      )
      const shownBefore = seen.snapshots.length
      await writer
        .if('x', 'Version', '==', 0)
        .then(...puts.slice(0, 3))
        .commit()
      await waitUntil(() => seen.snapshots.length > shownBefore, 'no snapshot')
      assert.deepEqual(
        ['p', 'q', 'r'].map((key) => seen.snapshots.at(-1)!.snapshot.entries.has(key)),
        [true, true, true],
      )
    })
    await clean()
  })

  test('from put to snapshot in about a millisecond', async (t) => {
    await clean()
    await whileFollowing(async (seen) => {
      await seen.live()
      const tookMs: number[] = []
      for (let at = 0; at < 200; at++) {
        const sentAtMs = performance.now()
        const [{ receivedAtMs }] = await Promise.all([
          seen.next(),
          writer.put(`${PREFIX}leader`).value(`n${at}`).exec(),
        ])
        tookMs.push(receivedAtMs - sentAtMs)
      }
      tookMs.sort((a, b) => a - b)
      t.diagnostic(`put to snapshot: median ${tookMs[100]} ms, p99 ${tookMs[198]} ms`)
      assert.ok(tookMs[100]! < 20, `median ${tookMs[100]} ms`)
    })
  })

  test('a compacted watch loads again', async () => {
    await clean()
    const relay = await startRelay(PORTS.relay, rig.endpoints[0]!)
    try {
      await whileFollowing(
        async (seen) => {
          await seen.live()
          relay.freeze()
          for (const at of [1, 2, 3]) await writer.put(`${PREFIX}leader`).value(`n${at}`)
          await rig.ctl(['compact', '--physical', String(await rig.revision())])
          await seen.lost()
          assert.equal(seen.shown(), '')
          relay.thaw()
          await seen.shows('leader=n3')
          await seen.live()
        },
        [relay.address],
      )
    } finally {
      await relay.close()
    }
  })

  test('a store wiped and started empty counts one store more', async () => {
    await clean()
    await whileFollowing(async (seen) => {
      await writer.put(`${PREFIX}leader`).value('n1')
      await seen.shows('leader=n1')
      const { store } = seen.snapshots.at(-1)!.snapshot
      await rig.kill(0)
      await rig.start(0, 'empty')
      await seen.shows('')
      await seen.live()
      const wiped = seen.snapshots.at(-1)!.snapshot
      assert.equal(wiped.store, store + 1)
      assert.ok(wiped.revision < 10, `revision ${wiped.revision}`)
      await rig.put(`${PREFIX}leader`, 'n9')
      await seen.shows('leader=n9')
      assert.equal(seen.snapshots.at(-1)!.snapshot.store, store + 1)
    })
  })

  test('an etcd stopped and started is told once as lost, once as live', async () => {
    await rig.put(`${PREFIX}leader`, 'n1')
    await whileFollowing(async (seen) => {
      await seen.live()
      await rig.kill(0)
      await seen.lost()
      const { errors } = seen.follower.stats()
      const { atMs, ...lost } = seen.healths.at(-1)!
      assert.ok(
        lost.kind === 'lost' && lost.sinceMs < atMs && /unreachable/.test(lost.why),
        lost.kind,
      )
      await waitUntil(() => seen.follower.stats().errors > errors + 2, 'no further tries')
      await rig.start(0)
      await rig.put(`${PREFIX}leader`, 'n2')
      await seen.shows('leader=n2')
      assert.deepEqual(
        seen.healths.map(({ kind }) => kind),
        ['live', 'lost', 'live'],
      )
      assert.ok(seen.logs.length <= 4, seen.logs.join('\n'))
    })
  })

  test('two followers of one endpoint do not share their fate', async () => {
    const older = follow(plainSettings(rig.endpoints))
    await older.live().catch(async (error) => {
      await older.follower.close()
      throw error
    })
    await whileFollowing(async (seen) => {
      await seen.live().finally(() => older.follower.close())
      const { requests } = seen.follower.stats()
      await waitUntil(() => seen.follower.stats().requests > requests + 1, 'no proofs')
      assert.equal(seen.follower.stats().reloads, 0)
    })
  })

  test('connections that a snapshot causes are not closed with the follower', async () => {
    const server = createServer((socket) => socket.on('error', () => {}).pipe(socket))
    server.listen(PORTS.nobody, '127.0.0.1')
    await once(server, 'listening')
    const sockets: Socket[] = []
    const other = openFollower(plainSettings(rig.endpoints), PREFIX, {
      onSnapshot: () => {
        const dial = () => sockets.push(connect(PORTS.nobody, '127.0.0.1'))
        dial()
        setImmediate(dial)
      },
      onHealth: () => {},
    })
    try {
      await waitUntil(() => other.stats().health === 'live', 'not live')
      await rig.put(`${PREFIX}leader`, 'n5')
      await waitUntil(() => sockets.length === 4, 'no snapshots')
      await waitUntil(() => other.stats().requests > 2, 'no proof')
      await other.close()
      await pause(500) // nothing may happen, for longer than the follower lets its own sockets live
      for (const socket of sockets) {
        socket.write('x')
        const limit = { signal: AbortSignal.timeout(2000) }
        assert.equal(String((await once(socket, 'data', limit))[0]), 'x')
      }
    } finally {
      await other.close()
      for (const socket of sockets) socket.destroy()
      server.close()
    }
  })

  describe('close leaves nothing that keeps the process', () => {
    const exits = async (endpoint: string, event: string | null, between = () => {}) => {
      const closer = fileURLToPath(new URL('closer.ts', import.meta.url))
      const child = spawn(process.execPath, [closer, endpoint], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      const exited = once(child, 'exit')
      try {
        let said = ''
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          said += text
        })
        if (event !== null) await waitUntil(() => said.includes(event), `child is not ${event}`)
        between()
        child.stdin.end()
        await waitUntil(() => said.includes('closed'), 'child does not close', EXIT_LIMIT_MS)
        await waitUntil(() => child.exitCode === 0, 'child does not exit', EXIT_LIMIT_MS)
      } finally {
        child.kill('SIGKILL')
        await exited
      }
    }

    test('while live', () => exits(rig.endpoints[0]!, 'live'))
    test('while nobody listens', () => exits(`127.0.0.1:${PORTS.nobody}`, 'lost'))
    test('while the peer is silent', async () => {
      const relay = await startRelay(PORTS.relay, rig.endpoints[0]!)
      try {
        await exits(relay.address, 'live', relay.freeze)
      } finally {
        await relay.close()
      }
    })
    test('after the peer was silent for some connections', async () => {
      const relay = await startRelay(PORTS.relay, rig.endpoints[0]!)
      relay.freeze()
      try {
        await exits(relay.address, 'lost')
      } finally {
        await relay.close()
      }
    })
    test('while SYNs are swallowed', async () => {
      const sink = await startSynSink(PORTS.sink)
      try {
        await exits(`127.0.0.1:${PORTS.sink}`, 'lost')
      } finally {
        await sink.close()
      }
    })
  })
})
