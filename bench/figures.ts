import type { Figure, Results } from './results.ts'
import type { Summary } from './summary.ts'

const MINUS_SIGN = '−'

/** A number as people read it: about three digits, thousands apart; `12,300`, `4.57`, `0.038`. */
export function formatNumber (value: number): string {
  const size = Math.abs(value)
  const digits = size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 3
  return group(value.toFixed(digits))
}

/** The same without zeros at its end, as it stands at an axis. */
export function formatTick (value: number): string {
  return group(String(Number(value.toPrecision(6))))
}

/** A ratio: `0.04 ×`. */
export function formatRatio (value: number): string {
  return `${formatNumber(value)} ×`
}

/** A number per second: `185,000`, `2.31 million`. */
export function formatRate (value: number): string {
  return value >= 1e6 ? `${formatNumber(value / 1e6)} million` : formatNumber(Number(value.toPrecision(3)))
}

/** A time in µs, in the unit that fits: `84 µs`, `1.2 ms`. */
export function formatMicroseconds (us: number): string {
  return us >= 1e6 ? `${formatNumber(us / 1e6)} s` : us >= 1e3 ? `${formatNumber(us / 1e3)} ms` : `${formatNumber(us)} µs`
}

/** How figures are called, and in what they are shown; the unit is empty where the title says it. */
export const FIGURES: Record<Figure, { title: string, unit: string, scale: number }> = {
  cpuNs: { title: 'Server CPU per delivery', unit: 'ns', scale: 1 },
  cpuUs: { title: 'Server CPU per connection, opened and joined', unit: 'µs', scale: 1 },
  bytes: { title: 'Memory per joined connection', unit: 'KB', scale: 1 / 1_000 },
  p50Us: { title: 'Median time from the publish to the receipt', unit: 'µs', scale: 1 },
  perSecond: { title: 'Publishes per second', unit: '', scale: 1 },
  startMs: { title: 'Time from the start of the process until it listens', unit: 'ms', scale: 1 }
}

/** A figure's median and spread, in its unit: `190 (185–201)`. */
export function formatSummary ({ median, min, max, runs }: Summary, scale = 1): string {
  const spread = runs > 1 ? ` (${formatNumber(min * scale)}–${formatNumber(max * scale)})` : ''
  return `${formatNumber(median * scale)}${spread}`
}

/** How many runs something comes from: `5 runs`, or `3–5 runs`. */
export function formatRuns (counts: readonly number[]): string {
  const least = counts.length === 0 ? 0 : Math.min(...counts)
  const most = counts.length === 0 ? 0 : Math.max(...counts)
  return least === most ? `${most} ${most === 1 ? 'run' : 'runs'}` : `${least}–${most} runs`
}

/** On what was measured, in a line. */
export function formatMachine ({ machine }: Results): string {
  const { cpu, cores, memoryBytes, system, pinned } = machine
  return [cpu, `${cores} ${cores === 1 ? 'core' : 'cores'}`, `${Math.round(memoryBytes / 2 ** 30)} GB`, system,
    pinned ? 'server and load generator on a core each' : 'not pinned to cores'].join(', ')
}

function group (digits: string): string {
  const [, sign = '', whole = '', rest = ''] = /^(-?)(\d+)(.*)$/.exec(digits) ?? []
  return whole === '' ? digits : `${sign === '' ? '' : MINUS_SIGN}${whole.replace(/\B(?=(\d{3})+$)/g, ',')}${rest}`
}
