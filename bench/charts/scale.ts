/** Where a value stands along an axis, px, and which values are written at it. */
export interface Scale {
  at: (value: number) => number
  ticks: number[]
}

/** Steps between ticks, times a power of ten. */
const STEPS = [1, 2, 2.5, 5, 10]
/** A power of ten is divided at these, where there is room. */
const LOG_STEPS = [1, 2, 5]

/** From 0 to `max`, evenly; with up to about `count` ticks. */
export function linear (max: number, from: number, to: number, count: number): Scale {
  const step = toStep((max > 0 ? max : 1) / count)
  const steps = Math.floor(max / step + 1e-9)
  const end = max > 0 ? max : 1
  return {
    at: (value) => from + (to - from) * value / end,
    // From multiples of a decimal: 3 × 0.1 is not 0.3.
    ticks: Array.from({ length: steps + 1 }, (_, i) => Number((i * step).toPrecision(12)))
  }
}

/** From below `min` to above `max`, by the logarithm; both above 0. Begins and ends at a tick. */
export function logarithmic (min: number, max: number, from: number, to: number): Scale {
  const first = Math.floor(Math.log10(min) + 1e-9)
  const last = Math.ceil(Math.log10(max) - 1e-9)
  const all: number[] = []
  for (let exponent = first; exponent <= last; exponent++) for (const step of LOG_STEPS) all.push(step * 10 ** exponent)
  const begin = all.findLastIndex((tick) => tick <= min * (1 + 1e-9))
  const found = all.findIndex((tick) => tick >= max * (1 - 1e-9))
  const end = found > begin ? found : begin + 1
  const ticks = all.slice(begin, end + 1).map((tick) => Number(tick.toPrecision(12)))
  return { ...logarithmicAt(ticks, from, to), ticks }
}

/** By the logarithm, with ticks at some values, the first and the last of which are the ends; all above 0. */
export function logarithmicAt (ticks: number[], from: number, to: number): Scale {
  const low = Math.log(ticks[0] as number)
  const high = Math.log(ticks.at(-1) as number)
  return { at: (value) => high === low ? (from + to) / 2 : from + (to - from) * (Math.log(value) - low) / (high - low), ticks }
}

function toStep (rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough))
  return (STEPS.find((step) => step * power >= rough * (1 - 1e-9)) as number) * power
}
