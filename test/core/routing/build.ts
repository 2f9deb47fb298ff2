/** Plain views, members and inputs for routing tests: a sound cluster to vary from. */
import type { ClusterView, DynamicConfig, Member } from '../../../src/core/cluster/types.ts'
import type { RoutingInput } from '../../../src/core/routing/decide.ts'
import type { ListenerPolicy } from '../../../src/core/routing/types.ts'

export const CONFIG: DynamicConfig = {
  ttlMs: 30_000,
  loopWaitMs: 10_000,
  paused: false,
  synchronous: 'off',
  failsafe: false,
  standbyCluster: false,
  raw: {},
}

export const WRITE: ListenerPolicy = {
  name: 'write',
  target: 'primary',
  fallback: null,
  balance: 'leastconn',
  maxLagBytes: null,
}

export function memberNamed(name: string, change: Partial<Member> = {}): Member {
  return {
    name,
    host: `${name}.test`,
    port: 5432,
    apiUrl: `http://${name}.test:8008`,
    state: 'running',
    role: 'replica',
    version: '4.1.4',
    timeline: 1,
    position: 1000,
    received: null,
    replayed: null,
    replicationState: 'streaming',
    tags: {},
    paused: false,
    pendingRestart: false,
    changed: 1,
    ...change,
  }
}

export function primaryNamed(name: string, changed: number): Member {
  return memberNamed(name, { role: 'primary', replicationState: null, changed })
}

export function viewOf(change: Partial<ClusterView> = {}): ClusterView {
  return {
    store: 0,
    revision: 10,
    systemId: '7',
    leader: null,
    members: [],
    leaderPosition: 1000,
    sync: null,
    failover: null,
    config: CONFIG,
    faults: [],
    ...change,
  }
}

/** `n1` leads since revision 5 and says so in a member key of revision 6; `n2` and `n3` follow. */
export function soundView(change: Partial<ClusterView> = {}): ClusterView {
  return viewOf({
    leader: { member: 'n1', term: { store: 0, created: 5, changed: 5 } },
    members: [primaryNamed('n1', 6), memberNamed('n2'), memberNamed('n3')],
    ...change,
  })
}

export function inputOf(change: Partial<RoutingInput> = {}): RoutingInput {
  return {
    nowMs: 1000,
    view: null,
    etcd: { kind: 'live' },
    sightings: [],
    troubles: [],
    policies: [WRITE],
    ...change,
  }
}
