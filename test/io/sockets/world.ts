/** One or more real workers, a control process played by the test, and where to connect. */
import type { WorkerSettings } from '../../../src/core/fleet/messages.ts'
import {
  type EndLine,
  type FakeControl,
  startFakeControl,
  tcpListener,
  type WorkerHandle,
  workerSettings,
} from '../../rig/fake-control.ts'
import { makeRig, type Rig } from '../../rig/processes.ts'
import { connectRaw } from '../../rig/raw-peer.ts'
import { until } from '../../rig/wait.ts'

export type World = {
  readonly rig: Rig
  readonly control: FakeControl
  readonly worker: WorkerHandle
  /** Of the listener `write`. */
  readonly port: number
  end(): Promise<void>
  /** Runs `body` and returns the log line of the connection that ends next. */
  endOf(body: () => Promise<unknown>): Promise<EndLine>
}

export async function openWorld(patch: Partial<WorkerSettings> = {}): Promise<World> {
  const rig = await makeRig()
  const port = rig.takePorts(1)
  const control = await startFakeControl(
    rig,
    workerSettings({ listeners: [tcpListener(port)], ...patch }),
  )
  const worker = await control.start()
  return {
    rig,
    control,
    worker,
    port,
    end: () => rig.end(),
    async endOf(body) {
      const before = await countEnds(control, worker, port)
      await body()
      return worker.nextEnd(before)
    },
  }
}

/**
 * How many connections have ended, once the log tells of all of them: lines are written a few at a
 * time. A worker numbers its connections, so one more tells how many there were.
 */
async function countEnds(control: FakeControl, worker: WorkerHandle, port: number) {
  const probe = await connectRaw({ port })
  const address = `127.0.0.1:${probe.socket.localPort}`
  const found = await until(
    async () => {
      const clients = await control.clients()
      const own = clients.find(({ client }) => client === address)
      return own && { number: Number(own.id.split('-').at(-1)), others: clients.length - 1 }
    },
    { limitMs: 2000, what: 'probe', everyMs: 5 },
  )
  probe.close()
  const ended = found.number - found.others
  await until(() => worker.ends().length >= ended, { limitMs: 2000, what: 'lines', everyMs: 10 })
  return ended
}

/** Settings of limits with some changed. */
export function limits(patch: Partial<WorkerSettings['limits']>): WorkerSettings['limits'] {
  return { ...workerSettings().limits, ...patch }
}
