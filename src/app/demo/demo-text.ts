/** What the demo prints once it runs: one JSON line for programs, or a page for people. */
import { type Demo, listenerUrl } from './demo.ts'

/** The ready line of `--json`; field names are a contract. */
export function readyLine(demo: Demo): string {
  const first = demo.routers[0]
  if (first === undefined) throw new Error('a demo without nodes')
  const write = listenerUrl(demo.cluster, first, 'write')
  return JSON.stringify({
    ready: true,
    write,
    read: listenerUrl(demo.cluster, first, 'read'),
    pooled: write, // until there is a pooled listener
    dir: demo.dir,
    etcd: { endpoints: [demo.etcd.endpoint], pid: demo.etcd.child.pid },
    nodes: demo.cluster.nodes.map((node, index) => describeNode(demo, node.name, index)),
  })
}

function describeNode({ cluster, routers }: Demo, name: string, index: number) {
  const node = cluster.node(name)
  const router = routers[index]
  const { host, port, dataDir } = node.postgres
  const listeners = router?.listeners ?? {}
  return {
    name,
    config: router?.config,
    pid: router?.daemon().pid,
    rest: router?.rest,
    postgres: { host, port, data_dir: dataDir, superuser: cluster.superuserUrl(host, port) },
    listeners: { ...listeners, pooled: listeners['write'] },
    patroni: { config: node.config, pid: node.patroni().pid, rest: node.rest },
  }
}

/** For people: where to connect, how to move the primary, how to watch it happen. */
export function welcome(demo: Demo, command: string): string {
  const { cluster, routers, programs } = demo
  const first = routers[0]
  if (first === undefined) throw new Error('a demo without nodes')
  const config = cluster.nodes[0]?.config ?? ''
  const count = cluster.nodes.length
  const nodes = count === 1 ? 'one Patroni node' : `${count} Patroni nodes`
  return `
A PostgreSQL cluster of ${nodes} runs, with a pgsteer beside each. Connect with:

  write   psql '${listenerUrl(cluster, first, 'write')}'
  read    psql '${listenerUrl(cluster, first, 'read')}'

Any of the routers will do: write on ${list(routers.map((it) => it.listeners['write'] ?? ''))}.

Move the primary, and see what a client notices:

  ${programs.patronictl} -c ${config} switchover ${cluster.scope} --force
  ${programs.patronictl} -c ${config} list

Watch it happen:

  curl -N ${first.rest}/events
  ${command} routes -c ${first.config}

Everything is in ${demo.dir}
Ctrl-C ends the demo and removes it.
`
}

function list(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} or ${items.at(-1)}`
}
