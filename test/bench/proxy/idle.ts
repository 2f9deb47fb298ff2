/** What a proxy holds and burns while nothing happens. */
import { cpuUs, memory, processTree } from '../kit/proc.ts'
import { measureFor } from '../kit/wait.ts'
import type { Contender } from './contenders.ts'
import { openIdleClients } from './idle-clients.ts'

/** Opened and closed first, so that code and tables are there before the first reading. */
const WARM_CLIENTS = 200
const SETTLE_MS = 3000

/** kB of the process tree for each client, by the pages only it has (PSS); sockets' buffers excluded. */
export async function measureIdleMemory(contender: Contender, clients: number): Promise<number> {
  await (await openIdleClients(contender.port, WARM_CLIENTS)).close()
  await measureFor(SETTLE_MS)
  const before = memory(processTree(contender.pids)).pssKb
  const opened = await openIdleClients(contender.port, clients)
  try {
    await measureFor(SETTLE_MS)
    return (memory(processTree(contender.pids)).pssKb - before) / clients
  } finally {
    await opened.close()
  }
}

export type IdleDaemon = {
  readonly rssMb: number
  readonly pssMb: number
  /** Percent of one core. */
  readonly cpuPercent: number
  readonly processes: number
}

export async function measureIdleDaemon(
  contender: Contender,
  seconds: number,
): Promise<IdleDaemon> {
  await measureFor(SETTLE_MS)
  const pids = processTree(contender.pids)
  const [costBefore, start] = [cpuUs(pids), performance.now()]
  await measureFor(seconds * 1000)
  const spentUs = cpuUs(pids) - costBefore
  const { rssKb, pssKb } = memory(pids)
  return {
    rssMb: rssKb / 1024,
    pssMb: pssKb / 1024,
    cpuPercent: (spentUs / 1000 / (performance.now() - start)) * 100,
    processes: pids.length,
  }
}
