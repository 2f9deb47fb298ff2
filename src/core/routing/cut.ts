/** Which established sessions have to end. */
import type { RouteTable } from './types.ts'

/**
 * Whether a session must be closed at once: it was opened on a primary that may have lost that role,
 * or on a replica that leads now. `role` is the one its backend had when it was opened.
 */
export function mustCut(
  keep: RouteTable['keep'],
  session: { readonly member: string; readonly role: 'primary' | 'replica' },
): boolean {
  if (session.role === 'replica') return keep.replicaNot.includes(session.member)
  return keep.primary !== null && !keep.primary.includes(session.member)
}
