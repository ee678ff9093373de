/** The bound of a wait before an attempt to come back: at first, and at the most, ms. */
const FIRST_MS = 500
const MAX_MS = 30_000

/**
 * How long to wait before an attempt, ms: anything up to a bound ("full jitter"), so that clients which were cut off
 * together do not come back together. The bound is twice the time that it has lasted already: as if it doubled with each
 * attempt, but nobody who had bad luck stays away for long after a short outage.
 *
 * @param awayMs since the connection was lost
 */
export function fullJitter (awayMs: number): number {
  return Math.round(Math.random() * Math.min(MAX_MS, Math.max(FIRST_MS, 2 * awayMs)))
}
