/** All samples of a run, by figure and contender, and what they say; pure. */
import { type Figure, pairedRatios, summarize } from '../kit/stats.ts'

export type Goal = {
  /** `ratio`: pgsteer over HAProxy; `value`: pgsteer alone. */
  readonly of: 'ratio' | 'value'
  readonly is: 'at most' | 'at least'
  readonly limit: number
}

export type FigureName = {
  readonly key: string
  readonly title: string
  readonly unit: string
  readonly goal: Goal | null
}

/** One value for each round; null where a round gave none. */
export type Samples = Readonly<Record<string, readonly (number | null)[]>>
export type FigureSamples = FigureName & { readonly samples: Samples }

export type Verdict = 'met' | 'missed' | 'not measured'

export type FigureReport = FigureName & {
  readonly figures: Readonly<Record<string, Figure | null>>
  /** Over HAProxy, round by round. */
  readonly ratios: Readonly<Record<string, Figure | null>>
  readonly verdict: Verdict | null
}

const REFERENCE = 'haproxy'
const OURS = 'pgsteer'

/** Collects samples in the order figures are first named. */
export class FigureBook {
  readonly #figures = new Map<string, FigureName>()
  readonly #samples = new Map<string, Map<string, (number | null)[]>>()

  add(figure: FigureName, contender: string, value: number | null): void {
    this.#figures.set(figure.key, this.#figures.get(figure.key) ?? figure)
    const byContender = this.#samples.get(figure.key) ?? new Map<string, (number | null)[]>()
    this.#samples.set(figure.key, byContender)
    byContender.set(contender, [...(byContender.get(contender) ?? []), value])
  }

  list(): readonly FigureSamples[] {
    return [...this.#figures.values()].map((figure) => ({
      ...figure,
      samples: Object.fromEntries(this.#samples.get(figure.key) ?? []),
    }))
  }
}

export function reportFigure(figure: FigureSamples): FigureReport {
  const { samples, ...name } = figure
  const names = Object.keys(samples)
  const figures = Object.fromEntries(
    names.map((it) => [it, summarize((samples[it] ?? []).filter((value) => value !== null))]),
  )
  const reference = samples[REFERENCE] ?? []
  const ratios = Object.fromEntries(
    names
      .filter((it) => it !== REFERENCE)
      .map((it) => [it, summarize(pairedRatios(samples[it] ?? [], reference))]),
  )
  return { ...name, figures, ratios, verdict: judge(name.goal, figures, ratios) }
}

function judge(
  goal: Goal | null,
  figures: FigureReport['figures'],
  ratios: FigureReport['ratios'],
): Verdict | null {
  if (goal === null) return null
  const figure = goal.of === 'ratio' ? ratios[OURS] : figures[OURS]
  if (figure === null || figure === undefined) return 'not measured'
  const met = goal.is === 'at most' ? figure.median <= goal.limit : figure.median >= goal.limit
  return met ? 'met' : 'missed'
}
