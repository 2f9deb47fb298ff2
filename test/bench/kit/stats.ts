/** Figures out of samples; pure. An empty list has no figures: null, never NaN. */

/** Nearest-rank percentile, `p` from 0 to 100. The samples need no order. */
export function percentile(samples: readonly number[], p: number): number | null {
  if (samples.length === 0) return null
  const sorted = Float64Array.from(samples).sort()
  const rank = Math.ceil((p / 100) * sorted.length)
  return sorted[Math.min(Math.max(rank, 1), sorted.length) - 1] ?? null
}

/** The middle one, or the mean of the two in the middle. */
export function median(samples: readonly number[]): number | null {
  if (samples.length === 0) return null
  const sorted = Float64Array.from(samples).sort()
  const half = sorted.length >> 1
  const upper = sorted[half] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? 0) + upper) / 2
}

export type Figure = {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly count: number
}

export function summarize(samples: readonly number[]): Figure | null {
  const middle = median(samples)
  if (middle === null) return null
  const min = percentile(samples, 0) ?? middle
  const max = percentile(samples, 100) ?? middle
  return { median: middle, min, max, count: samples.length }
}

/**
 * Ratios round by round: what a noisy minute does to one, it does to its neighbour in the same round
 * too. A round that lacks one of the two, or divides by zero, gives no ratio.
 */
export function pairedRatios(
  ours: readonly (number | null)[],
  theirs: readonly (number | null)[],
): readonly number[] {
  return ours.flatMap((value, round) => {
    const other = theirs[round] ?? null
    return value === null || other === null || other === 0 ? [] : [value / other]
  })
}
