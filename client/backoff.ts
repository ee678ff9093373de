/** The bound of a wait before an attempt to come back: at first, and at the most, ms. */
const FIRST_MS = 500
const MAX_MS = 30_000

/**
 * How long to wait before an attempt, ms: anything up to a bound ("full jitter"), so that clients which were cut off
 * together do not come back together. The bound is the time that it has lasted already: it grows with each attempt, and nobody
 * stays away for more than twice as long as the service was.
 *
 * @param awayMs without a connection so far
 */
export function fullJitter (awayMs: number): number {
  return Math.round(Math.random() * Math.min(MAX_MS, Math.max(FIRST_MS, awayMs)))
}
