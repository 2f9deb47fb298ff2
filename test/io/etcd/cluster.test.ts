/** The follower against three etcd members and bad networks: it must move on and stay complete. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { type EtcdRig, startEtcd } from '../../rig/etcd.ts'
import { type Following, follow, PREFIX, plainSettings } from './following.ts'
import { type Relay, startRelay, startSynSink } from './relay.ts'

const PORTS = { etcd: 21120, relay: 21130, sink: 21131, nobody: 21132 }
/** The promise of the follower: a peer that went silent is noticed and replaced within this. */
const SILENCE_NOTICED_MS = 5000
const DEAD_AT_START_MS = 1500

describe('follower and three etcd members', () => {
  let rig: EtcdRig
  const opened: { close(): Promise<void> }[] = []
  before(async () => {
    rig = await startEtcd({ ports: PORTS.etcd, members: 3 })
  })
  after(() => rig.stop())
  afterEach(async () => {
    for (const at of [0, 1, 2]) {
      if (rig.pid(at) === null) await rig.start(at)
      rig.resume(at)
    }
    for (const thing of opened.splice(0).reverse()) await thing.close()
    await rig.ctl(['del', '--prefix', '/'])
  })

  function open(endpoints: readonly string[]): Following {
    const seen = follow(plainSettings(endpoints))
    opened.push(seen.follower)
    return seen
  }
  const memberOf = (seen: Following) => rig.endpoints.indexOf(seen.follower.stats().endpoint)
  const relayTo = async (at: number): Promise<Relay> => {
    const relay = await startRelay(PORTS.relay, rig.endpoints[at]!)
    opened.push(relay)
    return relay
  }

  test('the connected member is killed', async () => {
    const seen = open(rig.endpoints)
    await seen.live()
    await rig.put(`${PREFIX}leader`, 'n1')
    await seen.shows('leader=n1')
    const lost = memberOf(seen)
    await rig.kill(lost)
    await rig.put(`${PREFIX}leader`, 'n2')
    await seen.shows('leader=n2')
    assert.notEqual(memberOf(seen), lost)
    assert.equal(seen.snapshots.at(-1)!.snapshot.store, 0)
    await rig.put(`${PREFIX}leader`, 'n3')
    await seen.shows('leader=n3')
  })

  test('etcd elects another leader, by wish and by kill, and no change is missed', async () => {
    const seen = open(rig.endpoints)
    await seen.live()
    const leader = await rig.leader()
    const heir = (leader + 1) % 3
    const status = JSON.parse(
      await rig.ctl(['member', 'list', '-w', 'json']).then((text) =>
        // Member ids are 64-bit numbers; JavaScript would round them.
        text.replace(/"ID":(\d+)/g, '"ID":"$1"'),
      ),
    ) as { members: { ID: string; name: string }[] }
    const id = BigInt(status.members.find(({ name }) => name === `m${heir}`)!.ID).toString(16)
    await rig.ctl(['move-leader', id], [leader])
    assert.equal(await rig.leader(), heir)
    await rig.put(`${PREFIX}leader`, 'n1')
    await seen.shows('leader=n1')
    await rig.kill(heir)
    await rig.put(`${PREFIX}leader`, 'n2')
    await seen.shows('leader=n2')
    await seen.live()
  })

  test('a silent peer is noticed and replaced', async (t) => {
    const relay = await relayTo(0)
    const seen = open([relay.address, rig.endpoints[1]!, rig.endpoints[2]!])
    await seen.live()
    assert.equal(seen.follower.stats().endpoint, relay.address)
    relay.freeze()
    const frozenAtMs = performance.now()
    await rig.put(`${PREFIX}leader`, 'n2')
    await seen.shows('leader=n2', SILENCE_NOTICED_MS)
    t.diagnostic(`replaced after ${Math.round(performance.now() - frozenAtMs)} ms`)
    assert.notEqual(seen.follower.stats().endpoint, relay.address)
    assert.deepEqual(
      seen.healths.map(({ kind }) => kind),
      ['live'],
    )
  })

  test('the only peer goes silent: lost within five seconds, complete afterwards', async () => {
    const relay = await relayTo(0)
    const seen = open([relay.address])
    await seen.live()
    relay.freeze()
    const frozenAtMs = performance.now()
    await seen.lost()
    assert.ok(performance.now() - frozenAtMs < SILENCE_NOTICED_MS)
    assert.ok(seen.healths.at(-1)!.kind === 'lost')
    await rig.put(`${PREFIX}leader`, 'n2')
    relay.thaw()
    await seen.shows('leader=n2')
    await seen.live()
  })

  for (const place of [0, 1, 2]) {
    test(`endpoint ${place} of three refuses at start`, async () => {
      await rig.kill(place)
      await rig.put(`${PREFIX}leader`, 'n1') // the others may first have to elect
      const startedAtMs = performance.now()
      const seen = open(rig.endpoints)
      await seen.live(DEAD_AT_START_MS)
      assert.ok(performance.now() - startedAtMs < DEAD_AT_START_MS)
    })
  }

  test('the first of three swallows packets at start', async () => {
    const sink = await startSynSink(PORTS.sink)
    opened.push(sink)
    const seen = open([`127.0.0.1:${PORTS.sink}`, rig.endpoints[1]!, rig.endpoints[2]!])
    await seen.live(DEAD_AT_START_MS)
  })

  test('the first of three accepts and never answers', async () => {
    rig.pause(0)
    await rig.put(`${PREFIX}leader`, 'n1') // the others may first have to elect
    const seen = open(rig.endpoints)
    await seen.live(DEAD_AT_START_MS)
    assert.notEqual(memberOf(seen), 0)
  })

  test('a member without quorum is not believed', async () => {
    const seen = open(rig.endpoints.slice(0, 1))
    await rig.put(`${PREFIX}leader`, 'n1')
    await seen.live()
    await seen.shows('leader=n1')
    rig.pause(1)
    rig.pause(2)
    // The rig first: the member is alive and would tell old news to whoever asks serializably.
    const stale = await rig.ctl(['get', '--consistency=s', `${PREFIX}leader`], [0])
    assert.match(stale, /n1/)
    await seen.lost()
    rig.resume(1)
    rig.resume(2)
    await rig.put(`${PREFIX}leader`, 'n2')
    await seen.shows('leader=n2')
    await seen.live()
  })

  test('the connected member hangs (SIGSTOP) and is replaced', async () => {
    const seen = open(rig.endpoints)
    await seen.live()
    const hung = memberOf(seen)
    rig.pause(hung)
    await rig.put(`${PREFIX}leader`, 'n2')
    await seen.shows('leader=n2', SILENCE_NOTICED_MS)
  })

  test('all dead, then all back', async () => {
    const seen = open([...rig.endpoints, `127.0.0.1:${PORTS.nobody}`])
    await rig.put(`${PREFIX}leader`, 'n1')
    await seen.live()
    for (const at of [0, 1, 2]) await rig.kill(at)
    await seen.lost()
    await Promise.all([0, 1, 2].map((at) => rig.start(at)))
    await rig.put(`${PREFIX}leader`, 'n2')
    await seen.shows('leader=n2')
    await seen.live()
    assert.deepEqual(
      seen.healths.map(({ kind }) => kind),
      ['live', 'lost', 'live'],
    )
    assert.ok(seen.logs.length < 10, seen.logs.join('\n'))
  })
})
