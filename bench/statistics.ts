import type { Figure, Run } from './results.ts'

/** The middle of some runs, and how far they are apart. */
export interface Spread {
  median: number
  min: number
  max: number
}

/** Undefined where no run has the figure. */
export function spreadOf (runs: Run[], figure: (run: Run) => number | undefined): Spread | undefined {
  const values = runs.map(figure).filter((value) => value !== undefined).sort((a, b) => a - b)
  const [min] = values
  const max = values.at(-1)
  if (min === undefined || max === undefined) return undefined
  const middle = values.length / 2
  const median = ((values[Math.ceil(middle) - 1] as number) + (values[Math.floor(middle)] as number)) / 2
  return { median, min, max }
}

/** What a run is compared by. */
export function figureOf (figure: Figure): (run: Run) => number | undefined {
  return figure === 'p50Us' ? ({ latencyUs }) => latencyUs?.p50 : (run) => run[figure]
}
