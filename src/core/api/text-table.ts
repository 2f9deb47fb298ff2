/** Aligned columns for a terminal. */

export type Cell = string | number | null

/** Numbers to the right, text to the left; a header line, then one line a row. */
export function formatTable(
  headers: readonly string[],
  rows: readonly (readonly Cell[])[],
): string {
  const texts = rows.map((row) => row.map((cell) => clean(cell === null ? '' : String(cell))))
  const widths = headers.map((header, column) =>
    Math.max(header.length, ...texts.map((row) => row[column]?.length ?? 0)),
  )
  const isNumeric = headers.map((_, column) => rows.some((row) => typeof row[column] === 'number'))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) =>
        isNumeric[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd()
  return [line(headers), ...texts.map(line)].map((it) => `${it}\n`).join('')
}

/** What came from a client's startup packet must not steer the terminal. */
function clean(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')
}
