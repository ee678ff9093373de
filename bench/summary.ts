import type { Figure, Measured, Run, ShapeResults } from './results.ts'

/** What several runs come to; in the unit of their values. */
export interface Summary {
  median: number
  min: number
  max: number
  /** How many runs had a value. */
  runs: number
}

/** What values of several runs come to; undefined where none has one. */
export function summarize (values: readonly (number | undefined)[]): Summary | undefined {
  const sorted = values.filter(isNumber).sort((a, b) => a - b)
  const { length } = sorted
  if (length === 0) return undefined
  const median = ((sorted[Math.floor((length - 1) / 2)] as number) + (sorted[Math.floor(length / 2)] as number)) / 2
  return { median, min: sorted[0] as number, max: sorted[length - 1] as number, runs: length }
}

/** A run's value of a figure, in its unit. */
export function readFigure (run: Run, figure: Figure): number | undefined {
  return figure === 'p50Us' ? run.latencyUs?.p50 : run[figure]
}

/** What a server's runs of a shape come to. */
export function summarizeFigure ({ figure }: ShapeResults, { runs }: Measured): Summary | undefined {
  return summarize(runs.map((run) => readFigure(run, figure)))
}

/**
 * What a server's figure is when the baseline's is 1. Each run is divided by the baseline's of the same round, since rounds are
 * interleaved and what disturbs a machine disturbs both; by the median of the baseline's where not every round has both.
 */
export function summarizeRatio (shape: ShapeResults, measured: Measured): Summary | undefined {
  return compare(shape, measured, shape.measured.find(({ peer, at }) => peer === shape.baseline && at === measured.at))
}

/** What a figure of Roomcast's comes to beside what it is meant to be. */
export interface Verdict {
  /** The figure, or a ratio of it. */
  value: number
  met: boolean
}

/** Whether Roomcast is what it is meant to be; undefined where nothing is meant, or nothing was measured. */
export function judge (shape: ShapeResults, measured: Measured): Verdict | undefined {
  const { target, versus, atLeast, figure } = shape
  if (atLeast !== undefined) {
    const value = summarizeFigure(shape, measured)?.median
    return value === undefined ? undefined : { value, met: value >= atLeast }
  }
  if (target === undefined) return undefined
  const [first] = shape.points?.values ?? []
  if (versus === 'first point' && measured.at === first) return undefined
  const divisor = versus === 'first point' ? shape.measured.find(({ peer, at }) => peer === measured.peer && at === first) : undefined
  const value = (versus === 'first point' ? compare(shape, measured, divisor) : summarizeRatio(shape, measured))?.median
  return value === undefined ? undefined : { value, met: isRate(figure) ? value >= target : value <= target }
}

/** Whether more of a figure is better. */
export function isRate (figure: Figure): boolean {
  return figure === 'perSecond'
}

/** Runs of a shape over others of it, round by round. */
export function compare ({ figure }: ShapeResults, measured: Measured, divisor: Measured | undefined): Summary | undefined {
  if (divisor === undefined) return undefined
  const values = measured.runs.map((run) => readFigure(run, figure))
  const divisors = divisor.runs.map((run) => readFigure(run, figure))
  const paired = values.length === divisors.length && values.every(isNumber) && divisors.every(isNumber)
  const median = summarize(divisors)?.median
  return summarize(values.map((value, round) => divide(value, paired ? divisors[round] : median)))
}

function divide (value: number | undefined, divisor: number | undefined): number | undefined {
  return value === undefined || divisor === undefined || divisor === 0 ? undefined : value / divisor
}

function isNumber (value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value)
}
