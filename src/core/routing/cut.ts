/** Which established sessions have to end. */
import type { Address, Backend, Keep, Keeper } from './types.ts'

/**
 * Whether a session must be closed at once: it was opened on a primary that may have lost that role,
 * or on a replica that leads now. `role` is the one its backend had when it was opened.
 */
export function mustCut(keep: Keep, session: Backend): boolean {
  if (session.role === 'replica') return keep.replicaNot.includes(session.member)
  return keep.primary !== null && !mayStay(keep.primary, session.member, session)
}

/** Members on which sessions could stay by `before` and, at some address, must go by `after`. */
export function membersCut(before: readonly Keeper[], after: readonly Keeper[]): string[] {
  const isCut = ({ member, addresses }: Keeper) =>
    addresses === null
      ? !after.some((one) => one.member === member)
      : addresses.some((address) => !mayStay(after, member, address))
  return before.filter(isCut).map(({ member }) => member)
}

function mayStay(keepers: readonly Keeper[], member: string, address: Address): boolean {
  const isHere = ({ host, port }: Address) => host === address.host && port === address.port
  return keepers.some((one) => one.member === member && (one.addresses?.some(isHere) ?? true))
}
