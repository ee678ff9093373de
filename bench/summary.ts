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
  const baseline = shape.measured.find(({ peer, at }) => peer === shape.baseline && at === measured.at)
  if (baseline === undefined) return undefined
  const values = measured.runs.map((run) => readFigure(run, shape.figure))
  const divisors = baseline.runs.map((run) => readFigure(run, shape.figure))
  const paired = values.length === divisors.length && values.every(isNumber) && divisors.every(isNumber)
  const median = summarize(divisors)?.median
  return summarize(values.map((value, round) => divide(value, paired ? divisors[round] : median)))
}

/** Whether more of a figure is better. */
export function isRate (figure: Figure): boolean {
  return figure === 'perSecond'
}

/** Whether Roomcast is within what is aimed at; undefined where there is no aim, or nothing was measured. */
export function meetsTarget ({ target, figure }: ShapeResults, ratio: Summary | undefined): boolean | undefined {
  if (target === undefined || ratio === undefined) return undefined
  return isRate(figure) ? ratio.median >= target : ratio.median <= target
}

function divide (value: number | undefined, divisor: number | undefined): number | undefined {
  return value === undefined || divisor === undefined || divisor === 0 ? undefined : value / divisor
}

function isNumber (value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value)
}
