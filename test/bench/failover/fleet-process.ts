/** The bench's side of a fleet. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Rig } from '../../rig/processes.ts'
import type { FleetPlan, FleetReport, FromFleet, ToFleet } from './messages.ts'

export type FleetProcess = {
  readonly name: string
  /** All since the last call. */
  collect(): Promise<FleetReport>
}

/** Starts its process; the writers begin at once. The rig ends it with everything else. */
export async function startFleet(rig: Rig, plan: FleetPlan): Promise<FleetProcess> {
  const script = new URL('fleet.ts', import.meta.url)
  const child = fork(script, {
    serialization: 'advanced',
    env: { ...process.env, ...rig.keeper.env },
  })
  rig.defer(() => void child.kill('SIGKILL'))
  await next(child, 'ready')
  const tell = (message: ToFleet) => void child.send(message)
  tell({ kind: 'start', plan })
  return {
    name: plan.fleet,
    async collect() {
      const answer = next(child, 'report')
      tell({ kind: 'collect' })
      const message = await answer
      return message.report
    },
  }
}

async function next<K extends FromFleet['kind']>(
  child: ChildProcess,
  kind: K,
): Promise<Extract<FromFleet, { kind: K }>> {
  const [message] = (await once(child, 'message')) as [FromFleet]
  if (message.kind !== kind) throw new Error(`a fleet said ${message.kind}, expected ${kind}`)
  return message as Extract<FromFleet, { kind: K }>
}
