/** The HAProxy that pgsteer is compared with, in front of the same Patroni cluster. */
import { join } from 'node:path'
import { whichProgram } from '../../../src/app/demo/machine.ts'
import { haproxyConfig } from '../../rig/haproxy.ts'
import type { PatroniRig } from '../../rig/patroni.ts'
import type { Rig } from '../../rig/processes.ts'
import { HAPROXY_CHECKS, type HaproxyChecks } from './options.ts'

const THREADS = 2

/**
 * Tuned, it also gives up early on a server that does not take connections: the pause before the
 * next try is at most `timeout connect`, and that try goes to whoever is up then.
 */
const TUNED_LINES = ['  option redispatch 1', '  timeout connect 250ms']
const USUAL_TIMEOUT = /^ {2}timeout connect .*$/m

export function referenceConfig(port: number, patroni: PatroniRig, checks: HaproxyChecks): string {
  const servers = patroni.nodes.map(({ name, rest, postgres }) => ({
    name,
    port: postgres.port,
    checkPort: Number(new URL(rest).port),
  }))
  const options = { servers, check: '/primary', threads: THREADS, ...HAPROXY_CHECKS[checks] }
  const text = haproxyConfig(port, options)
  return checks === 'tuned' ? text.replace(USUAL_TIMEOUT, TUNED_LINES.join('\n')) : text
}

/** Starts it and returns its port; whether it serves is the caller's to ask. */
export function startReference(rig: Rig, patroni: PatroniRig, checks: HaproxyChecks): number {
  const program = whichProgram('haproxy')
  if (program === null) throw new Error('haproxy is not installed: npm run setup')
  const port = rig.takePorts(1)
  const config = join(rig.dir, 'haproxy.cfg')
  rig.keeper.writeFile(config, referenceConfig(port, patroni, checks), null)
  rig.start(program, ['-db', '-f', config], { log: join(rig.dir, 'haproxy.log') })
  return port
}
