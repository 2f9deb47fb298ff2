/** What ends a watch, against a real etcd; and a watch that goes deaf. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { IRangeResponse } from 'etcd3'
import { type Endpoint, openEndpoint } from '../../../src/io/etcd/endpoint.ts'
import { CompactedError, type EtcdError } from '../../../src/io/etcd/errors.ts'
import { loadPrefix } from '../../../src/io/etcd/load.ts'
import { runSession } from '../../../src/io/etcd/session.ts'
import { adoptLoad, type Known } from '../../../src/io/etcd/view.ts'
import { openWatch } from '../../../src/io/etcd/watch.ts'
import { type EtcdRig, startEtcd, waitUntil } from '../../rig/etcd.ts'
import { PREFIX, plainSettings } from './following.ts'

const PORTS = { etcd: 21180 }

describe('watch and load', () => {
  let rig: EtcdRig
  let endpoint: Endpoint
  before(async () => {
    rig = await startEtcd({ ports: PORTS.etcd })
    endpoint = openEndpoint(plainSettings(rig.endpoints), rig.endpoints[0]!)
  })
  after(async () => {
    endpoint.close()
    await rig.stop()
  })
  const endOf = (fromRevision: number) =>
    new Promise<EtcdError>((resolve) => {
      openWatch(endpoint, PREFIX, fromRevision, {
        onCreated: () => {},
        onChanges: () => {},
        onEnded: resolve,
      })
    })

  test('from a compacted revision ends with the oldest one kept', async () => {
    for (const at of [1, 2, 3]) await rig.put(`${PREFIX}leader`, `n${at}`)
    const revision = await rig.revision()
    await rig.ctl(['compact', String(revision)])
    const error = await endOf(revision - 2)
    assert.ok(error instanceof CompactedError)
    assert.equal(error.compactRevision, revision)
  })

  test('pages of a load are of one revision, whatever is written between them', async () => {
    for (let at = 0; at < 3; at++) await rig.put(`${PREFIX}k${at}`, 'old')
    let pages = 0
    const paging: Endpoint = {
      ...endpoint,
      async range(request, deadlineMs): Promise<IRangeResponse> {
        const page = await endpoint.range({ ...request, limit: 1 }, deadlineMs)
        pages += 1
        await rig.put(`${PREFIX}k${pages}`, 'new')
        return page
      },
    }
    const loaded = await loadPrefix(paging, PREFIX, 2000)
    assert.ok(pages >= 3)
    const values = [...loaded.entries.values()].filter(({ key }) => key.startsWith('k'))
    assert.deepEqual(
      values.map(({ value }) => value),
      ['old', 'old', 'old'],
    )
  })

  test('a watch that goes deaf while reads work is found out by the proofs', async () => {
    for (const change of ['put', 'del'] as const) {
      await rig.put(`${PREFIX}leader`, 'n1')
      let deaf = false
      const connect = (): Endpoint => {
        const real = openEndpoint(plainSettings(rig.endpoints), rig.endpoints[0]!)
        return {
          ...real,
          watch: (request, events) =>
            real.watch(request, {
              ...events,
              onAnswer: (answer) => deaf || events.onAnswer(answer),
            }),
        }
      }
      let known: Known | null = null
      const stop = new AbortController()
      const ended = runSession(
        { connect, prefix: PREFIX, attemptMs: 2000, signal: stop.signal },
        {
          onLoaded(loaded) {
            known = adoptLoad(known, loaded)
          },
          onWatching() {
            deaf = true
          },
          onChanges: () => assert.fail('not deaf'),
          onProved: () => {},
          known: () => known!,
        },
      )
      await waitUntil(() => deaf, 'no watch')
      if (change === 'put') await rig.put(`${PREFIX}leader`, 'n2')
      else await rig.del(`${PREFIX}leader`)
      const limit = setTimeout(() => stop.abort(), 5000)
      const { error } = await ended
      clearTimeout(limit)
      assert.equal(error.code, 'watch-behind', change)
    }
  })

  test('ends when etcd ends, and says nothing after close', async () => {
    const said: string[] = []
    const watch = openWatch(endpoint, PREFIX, (await rig.revision()) + 1, {
      onCreated: () => said.push('created'),
      onChanges: () => said.push('changes'),
      onEnded: () => said.push('ended'),
    })
    watch.close()
    const ended = endOf((await rig.revision()) + 1)
    await rig.kill(0)
    assert.equal((await ended).retryable, true)
    assert.deepEqual(said, [])
    await rig.start(0)
  })
})
