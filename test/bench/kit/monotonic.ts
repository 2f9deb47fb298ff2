/** The machine's monotonic clock in ms: the same for all processes, unlike `performance.now()`. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
