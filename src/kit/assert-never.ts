/** Ends a `switch` over a closed union: `tsc` refuses the call while a case is missing. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`)
}
