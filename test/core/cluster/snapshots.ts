/** Snapshots for tests: short to write, and recorded ones of real clusters. */
import type { KeyValue, Member, Snapshot } from '../../../src/core/cluster/types.ts'

type Written = string | Partial<KeyValue>

/** A snapshot of `key: value`; what a test does not care about is filled in. */
export function snapshotOf(values: Readonly<Record<string, Written>>, store = 0): Snapshot {
  const entries = new Map<string, KeyValue>()
  let revision = 10
  for (const [key, written] of Object.entries(values)) {
    revision += 1
    const given = typeof written === 'string' ? { value: written } : written
    const revisions = { createRevision: revision, modRevision: revision }
    entries.set(key, { key, value: '', lease: '0', ...revisions, ...given })
  }
  return { store, revision, entries }
}

/** A member value as Patroni writes it, with changes; undefined leaves a field out. */
export function memberValue(changes: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    conn_url: 'postgres://127.0.0.1:5432/postgres',
    api_url: 'http://127.0.0.1:8008/patroni',
    state: 'running',
    role: 'replica',
    version: '4.1.4',
    ...changes,
  })
}

/** A healthy replica of today, with changes. */
export function member(changes: Partial<Member> = {}): Member {
  return {
    name: 'n1',
    host: '10.0.0.1',
    port: 5432,
    apiUrl: 'http://10.0.0.1:8008',
    state: 'running',
    role: 'replica',
    version: '4.1.4',
    timeline: 1,
    position: 1000,
    received: 1000,
    replayed: 1000,
    replicationState: 'streaming',
    tags: {},
    paused: false,
    pendingRestart: false,
    changed: 1,
    ...changes,
  }
}

/** Three nodes of 4.1 in synchronous mode, after one failover. */
export const PATRONI_4_1: Readonly<Record<string, string>> = {
  leader: 'pg-2',
  'members/pg-1':
    '{"conn_url":"postgres://127.0.0.1:5431/postgres","api_url":"http://127.0.0.1:8001/patroni","state":"running","role":"replica","version":"4.1.4","xlog_location":67109056,"replay_lsn":67108960,"receive_lsn":67109056,"replication_state":"streaming","timeline":2}',
  'members/pg-2':
    '{"conn_url":"postgres://127.0.0.1:5432/postgres","api_url":"http://127.0.0.1:8002/patroni","state":"running","role":"primary","version":"4.1.4","proxy_url":"postgres://127.0.0.1:6432/postgres","pending_restart":true,"pending_restart_reason":{"max_connections":{"old_value":"100","new_value":"200"}},"xlog_location":67109056,"timeline":2}',
  'members/pg-3':
    '{"conn_url":"postgres://127.0.0.1:5433/postgres","api_url":"http://127.0.0.1:8003/patroni","state":"running","role":"replica","version":"4.1.4","tags":{"noloadbalance":true,"clonefrom":true,"az":"a2","failover_priority":2},"xlog_location":50331648,"replay_lsn":50331648,"replication_state":"in archive recovery","timeline":1,"pause":true}',
  config:
    '{"ttl":20,"loop_wait":5,"retry_timeout":5,"maximum_lag_on_failover":1048576,"synchronous_mode":true,"failsafe_mode":true,"postgresql":{"use_pg_rewind":true,"parameters":{"max_connections":200}}}',
  initialize: '7509371532107833472',
  history:
    '[[1,67108960,"no recovery target specified","2026-11-20T03:58:58.601835+00:00","pg-2"]]',
  failover: '{}',
  sync: '{"leader":"pg-2","quorum":0,"sync_standby":"pg-1"}',
  status:
    '{"optime":67109056,"slots":{"pg_1":67109056,"pg_2":67109056,"pg_3":50331648},"retain_slots":["pg_1","pg_2","pg_3"]}',
  failsafe: '{"pg-1":"http://127.0.0.1:8001/patroni","pg-2":"http://127.0.0.1:8002/patroni"}',
  'pgsteer/routers/r1': '{"term":1}',
}
