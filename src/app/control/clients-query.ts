/** `GET /clients`: the clients of all workers, narrowed by `listener`, `state`, `user`, `database`. */
import type { ClientInfo } from '../../core/fleet/messages.ts'
import type { Fleet } from './fleet.ts'

export const CLIENTS_MAX = 10_000
const FILTERS = ['listener', 'state', 'user', 'database'] as const satisfies (keyof ClientInfo)[]

export async function listClients(
  fleet: Fleet,
  query: Readonly<Record<string, string>>,
): Promise<{ clients: ClientInfo[]; complete: boolean }> {
  const clients = await fleet.clients(CLIENTS_MAX)
  const wanted = clients.filter((client) =>
    FILTERS.every((key) => query[key] === undefined || client[key] === query[key]),
  )
  return { clients: wanted, complete: clients.length < CLIENTS_MAX }
}
