/**
 * The cluster that all contenders stand in front of: one PostgreSQL, and an etcd in which it is the
 * leader of a Patroni cluster, under the keys Patroni would write. Nothing but the keys is pretended.
 */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type DemoEtcd, startEtcd } from '../../../src/app/demo/etcd.ts'
import { type Postgres, startPostgres } from '../../rig/postgres.ts'
import type { Rig } from '../../rig/processes.ts'

const TTL_S = 30
const KEEPALIVE_MS = 5000
const NAME = 'n1'

export type EtcdCluster = { readonly scope: string; readonly etcdHost: string }

/** One PostgreSQL for all: no password, so that a connection costs no key derivation. */
export function startBenchPostgres(rig: Rig): Promise<Postgres> {
  return startPostgres(rig, {
    name: 'postgres',
    hba: ['host all all 127.0.0.1/32 trust'],
    settings: { max_connections: 300, shared_buffers: '128MB', fsync: 'off', autovacuum: 'off' },
  })
}

export async function startBenchEtcd(rig: Rig): Promise<DemoEtcd> {
  const client = rig.takePorts(2)
  return startEtcd(rig.keeper, rig.programs.etcd, { client, peer: client + 1 }, rig.account)
}

/** Writes the keys of a cluster whose one member, at `port`, leads; the lease is kept alive. */
export async function registerLeader(
  rig: Rig,
  etcd: DemoEtcd,
  scope: string,
  port: number,
): Promise<EtcdCluster> {
  const ask = (path: string, body: object) => askEtcd(etcd.endpoint, path, body)
  const { ID: lease } = await ask('lease/grant', { TTL: TTL_S })
  const put = (key: string, value: string, leased: boolean) =>
    ask('kv/put', {
      key: base64(`/service/${scope}/${key}`),
      value: base64(value),
      ...(leased ? { lease } : {}),
    })
  const rest = await startRest(rig)
  await put('initialize', '7710138416230501273', false)
  await put('config', JSON.stringify({ ttl: TTL_S, loop_wait: 10, retry_timeout: 10 }), false)
  await put('leader', NAME, true)
  await put(`members/${NAME}`, JSON.stringify(memberValue(port, rest)), true)
  const beat = setInterval(() => {
    ask('lease/keepalive', { ID: lease }).catch(() => undefined) // the lease outlives a lost beat
  }, KEEPALIVE_MS)
  rig.defer(() => clearInterval(beat))
  return { scope, etcdHost: new URL(etcd.endpoint).host }
}

function memberValue(port: number, rest: string) {
  return {
    conn_url: `postgres://127.0.0.1:${port}/postgres`,
    api_url: `${rest}/patroni`,
    state: 'running',
    role: 'primary',
    version: '4.1.4',
    xlog_location: 50_628_432,
    timeline: 1,
  }
}

/** `GET /patroni` and `/primary` of a member that leads. */
async function startRest(rig: Rig): Promise<string> {
  const body = JSON.stringify({ state: 'running', role: 'primary', timeline: 1 })
  const server: Server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json', connection: 'close' }).end(body)
  })
  await new Promise<void>((resolve) => server.listen(rig.takePorts(1), '127.0.0.1', resolve))
  rig.defer(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function askEtcd(
  endpoint: string,
  path: string,
  body: object,
): Promise<Readonly<Record<string, string>>> {
  const reply = await fetch(`${endpoint}/v3/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(5000),
  })
  if (!reply.ok) throw new Error(`etcd: ${path}: ${reply.status} ${await reply.text()}`)
  return (await reply.json()) as Record<string, string>
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
