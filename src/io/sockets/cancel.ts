/**
 * Passes a cancel request on. A session this worker knows is on one server; any other one (of another
 * worker, another router, from before a restart, or with TLS passed through) may be on any of them, so
 * all are asked. That is safe: a server acts only on its own process id together with its secret key.
 */
import type { Cancel } from '../../core/pgwire/startup.ts'
import type { Backend } from '../../core/routing/types.ts'
import { type DialPlan, dial } from './dial.ts'
import { DEAF, type Sink } from './wire.ts'

const BACKENDS_MAX = 64
/** How long a server may take to act; PostgreSQL closes the connection when it has. */
const ANSWER_MS = 5_000

/** Calls `done` when every server has closed its side, or had its time. */
export function sendCancel(
  plan: Omit<DialPlan, 'backend' | 'purpose' | 'mustWrite'>,
  cancel: Cancel,
  backends: readonly Backend[],
  done: () => void,
): void {
  const asked = backends.slice(0, BACKENDS_MAX)
  let open = asked.length
  const oneLess = (): void => {
    if (--open === 0) done()
  }
  if (open === 0) return done()
  const purpose = { kind: 'cancel', bytes: cancel.bytes } as const
  for (const backend of asked) {
    dial({ ...plan, backend, purpose, mustWrite: false }, (result) => {
      if (result.kind !== 'connected') return oneLess()
      const wire = result.server
      const timer = setTimeout(() => wire.destroy(), ANSWER_MS)
      const sink: Sink = { ...DEAF, onEnd: () => wire.destroy(), onClose: () => finish() }
      let over = false
      const finish = (): void => {
        clearTimeout(timer)
        if (!over) oneLess()
        over = true
      }
      wire.sink = sink
      wire.resume()
      if (wire.destroyed) finish()
    })
  }
}
