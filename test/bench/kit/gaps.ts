/** What a failover cost a fleet of writers, from the instants of its acknowledged writes; pure. */

/** Milliseconds on the machine's monotonic clock, the same for all processes. */
export type Instant = number

/** One acknowledged write: when it was sent and acknowledged, and the port of the server that took it. */
export type Ack = {
  readonly writer: number
  readonly sentMs: Instant
  readonly ackMs: Instant
  readonly port: number
}

/** Longest time without an acknowledgement between two instants, both ends counted. */
export function longestGap(acks: readonly Instant[], fromMs: Instant, toMs: Instant): number {
  const inside = acks.filter((at) => at >= fromMs && at <= toMs).sort((a, b) => a - b)
  let last = fromMs
  let longest = 0
  for (const at of [...inside, toMs]) {
    longest = Math.max(longest, at - last)
    last = at
  }
  return longest
}

/** The same for every writer by itself. */
export function gapsByWriter(
  acks: readonly Ack[],
  writers: number,
  fromMs: Instant,
  toMs: Instant,
): readonly number[] {
  return Array.from({ length: writers }, (_, writer) =>
    longestGap(
      acks.filter((ack) => ack.writer === writer).map((ack) => ack.ackMs),
      fromMs,
      toMs,
    ),
  )
}

/**
 * From the instant a server was seen writable to the first write it acknowledged, and the same for
 * each writer. Below zero when a write was faster than the observer's next look. Null: never.
 */
export function firstWrites(
  acks: readonly Ack[],
  writers: number,
  writable: { readonly port: number; readonly atMs: Instant; readonly notBeforeMs: Instant },
): { readonly firstMs: number | null; readonly byWriterMs: readonly number[] } {
  const after = acks.filter(
    ({ port, ackMs }) => port === writable.port && ackMs >= writable.notBeforeMs,
  )
  const firsts = Array.from({ length: writers }, (_, writer) =>
    Math.min(...after.filter((ack) => ack.writer === writer).map((ack) => ack.ackMs)),
  ).filter(Number.isFinite)
  const byWriterMs = firsts.map((at) => at - writable.atMs)
  return { firstMs: byWriterMs.length === 0 ? null : Math.min(...byWriterMs), byWriterMs }
}

/** Writes *sent* when a newer primary was already writable, and taken by another server. */
export function writesOnDeposed(
  acks: readonly Ack[],
  writable: { readonly port: number; readonly atMs: Instant },
): number {
  return acks.filter(({ port, sentMs }) => port !== writable.port && sentMs > writable.atMs).length
}

/** Acknowledged but not there. */
export function lostWrites(
  acknowledged: Iterable<number>,
  present: ReadonlySet<number>,
): readonly number[] {
  return [...acknowledged].filter((id) => !present.has(id))
}
