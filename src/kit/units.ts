/**
 * Durations and sizes as people write them. Sizes use powers of 1024 and PostgreSQL's spellings;
 * durations always name their unit, because "30" has meant seconds, milliseconds and minutes.
 */
const MS_PER = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const
const BYTES_PER = { B: 1, kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 } as const

type DurationUnit = keyof typeof MS_PER
type SizeUnit = keyof typeof BYTES_PER

/** `250ms`, `30s`, `1.5m`, `2h` or 0 in whole milliseconds; null when it is none of these. */
export function parseDuration(value: unknown): number | null {
  if (value === 0 || value === '0') return 0
  const found =
    typeof value === 'string' ? /^(\d{1,15}(?:\.\d{1,6})?)\s*(ms|s|m|h)$/.exec(value.trim()) : null
  if (found === null) return null
  return Math.round(Number(found[1]) * MS_PER[found[2] as DurationUnit])
}

/** `16MB`, `8kB`, `1.5GB`, `512B` or a plain number of bytes, in bytes; null when it is none of these. */
export function parseSize(value: unknown): number | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : null
  const found =
    typeof value === 'string'
      ? /^(\d{1,15}(?:\.\d{1,6})?)\s*(B|kB|MB|GB)?$/.exec(value.trim())
      : null
  if (found === null) return null
  const bytes = Math.round(Number(found[1]) * BYTES_PER[(found[2] ?? 'B') as SizeUnit])
  return Number.isSafeInteger(bytes) ? bytes : null
}

/** The shortest exact spelling `parseDuration` reads back. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0'
  const unit = (['h', 'm', 's'] as const).find((name) => ms % MS_PER[name] === 0) ?? 'ms'
  return `${ms / MS_PER[unit]}${unit}`
}

/** The shortest exact spelling `parseSize` reads back. */
export function formatSize(bytes: number): string {
  if (bytes === 0) return '0'
  const unit = (['GB', 'MB', 'kB'] as const).find((name) => bytes % BYTES_PER[name] === 0) ?? 'B'
  return `${bytes / BYTES_PER[unit]}${unit}`
}
