/** Tables for a terminal: aligned, no colour; pure. */

/** First column to the left, all others to the right. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(0, ...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, at) =>
    Math.max(0, ...rows.map((row) => row[at]?.length ?? 0)),
  )
  return rows
    .map((row) =>
      widths
        .map((width, at) => {
          const cell = row[at] ?? ''
          return at === 0 ? cell.padEnd(width) : cell.padStart(width)
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

/** About three figures: 0.123, 1.23, 12.3, 123, 12345. Null is a dash. */
export function figureText(value: number | null): string {
  if (value === null) return '-'
  const size = Math.abs(value)
  if (size === 0) return '0'
  if (size >= 100) return value.toFixed(0)
  if (size >= 10) return value.toFixed(1)
  return size >= 1 ? value.toFixed(2) : value.toFixed(3)
}
