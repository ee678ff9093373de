/** The longest wait before the first attempt to come back, and before any, ms. */
const FIRST_MS = 500
const MAX_MS = 30_000

/**
 * How long to wait before an attempt, ms: anything up to a bound that doubles, so that clients which were cut off
 * together do not come back together ("full jitter").
 *
 * @param attempt counted from 0
 */
export function fullJitter (attempt: number): number {
  return Math.random() * Math.min(MAX_MS, FIRST_MS * 2 ** attempt)
}
