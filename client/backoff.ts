/** The bounds of the wait before a reconnect, at first and at most, ms. */
const FIRST_MS = 500
const MAX_MS = 30_000

/**
 * The wait before a reconnect, ms: random up to a bound ("full jitter"), so that disconnected clients spread their reconnects. The
 * bound is the length of the outage so far, so a client's outage is at most twice as long as the service's.
 *
 * @param awayMs how long the client has had no connection, ms
 */
export function fullJitter (awayMs: number): number {
  return Math.round(Math.random() * Math.min(MAX_MS, Math.max(FIRST_MS, awayMs)))
}
