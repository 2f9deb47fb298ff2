/** In which order the backends of an open route are tried for one client. */
import { assertNever } from '../../kit/assert-never.ts'
import type { Backend, OpenRoute } from './types.ts'

/**
 * All backends of the route, best first; the rest are the alternatives when the first does not
 * answer. `connections` counts what this worker has open to a member; `turn` counts the clients
 * served so far; `random01` is in [0, 1).
 */
export function orderBackends(
  route: OpenRoute,
  connections: (member: string) => number,
  turn: number,
  random01: number,
): readonly Backend[] {
  const { backends, balance } = route
  switch (balance) {
    case 'roundrobin':
      return rotate(backends, turn)
    case 'leastconn':
      return sortBy(rotate(backends, turn), connections)
    case 'random':
      return shuffle(backends, random01)
    default:
      return assertNever(balance)
  }
}

function rotate(backends: readonly Backend[], turn: number): readonly Backend[] {
  const first = turn % backends.length
  return [...backends.slice(first), ...backends.slice(0, first)]
}

/** Each count is asked for once, so the order holds while connections come and go. */
function sortBy(
  backends: readonly Backend[],
  connections: (member: string) => number,
): readonly Backend[] {
  const counted = backends.map((backend) => ({ backend, count: connections(backend.member) }))
  return counted.sort((a, b) => a.count - b.count).map(({ backend }) => backend)
}

/** One random number chooses the whole order: what a choice leaves of it makes the next one. */
function shuffle(backends: readonly Backend[], random01: number): readonly Backend[] {
  const left = [...backends]
  const order: Backend[] = []
  for (let luck = random01; left.length > 0; ) {
    const scaled = luck * left.length
    const at = Math.min(Math.floor(scaled), left.length - 1)
    order.push(...left.splice(at, 1))
    luck = scaled - at
  }
  return order
}
