/** The figures as a table for people; pure. */
import type { Figure } from '../kit/stats.ts'
import { figureText, tableText } from '../kit/table.ts'
import type { FigureReport, Goal } from './figures.ts'

/** Medians with their spread (half of max - min), ratios to HAProxy with the lowest and highest. */
export function reportText(
  reports: readonly FigureReport[],
  contenders: readonly string[],
): string {
  const head = [
    'median of rounds',
    ...contenders,
    ...contenders.filter((it) => it === 'pgbouncer').map((it) => `${it}/haproxy`),
    ...(contenders.includes('pgsteer') ? ['pgsteer/haproxy', 'lowest..highest', 'goal', ''] : []),
  ]
  const rows = reports.map((report) => [
    report.unit === '' ? report.title : `${report.title}, ${report.unit}`,
    ...contenders.map((it) => valueText(report.figures[it] ?? null)),
    ...contenders
      .filter((it) => it === 'pgbouncer')
      .map((it) => ratioText(report.ratios[it] ?? null)),
    ratioText(report.ratios['pgsteer'] ?? null),
    rangeText(report.ratios['pgsteer'] ?? null),
    goalText(report.goal),
    report.verdict ?? '',
  ])
  return tableText([head, ...rows])
}

function valueText(figure: Figure | null): string {
  if (figure === null) return '-'
  const spread = figure.median === 0 ? 0 : (figure.max - figure.min) / 2 / figure.median
  const around = figure.count > 1 ? ` ±${Math.round(spread * 100)}%` : ''
  return `${figureText(figure.median)}${around}`
}

function ratioText(figure: Figure | null): string {
  return figure === null ? '-' : `×${figure.median.toFixed(2)}`
}

function rangeText(figure: Figure | null): string {
  if (figure === null || figure.count < 2) return ''
  return `${figure.min.toFixed(2)}..${figure.max.toFixed(2)}`
}

function goalText(goal: Goal | null): string {
  if (goal === null) return ''
  const sign = goal.is === 'at most' ? '≤' : '≥'
  return `${sign} ${goal.of === 'ratio' ? '×' : ''}${goal.limit}`
}
