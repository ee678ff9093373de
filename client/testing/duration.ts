/** A time: `'250ms'`, `'10s'`, `'5m'`, `'1h'`, `'2d'`, or a number of ms. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Reads a duration, ms. Throws a `TypeError` for another text. */
export function toMs (duration: Duration): number {
  if (typeof duration === 'number' && Number.isFinite(duration)) return duration
  const [, count, unit = ''] = /^(-?\d{1,15}(?:\.\d{1,9})?)(ms|s|m|h|d)$/.exec(String(duration)) ?? []
  if (count === undefined) throw new TypeError(`A duration is a number of ms, or a text such as '250ms' or '5m'; not ${String(duration)}`)
  return Number(count) * (UNITS[unit] ?? 1)
}
