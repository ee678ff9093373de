/** The bounds of the wait before a reconnect. */
export interface Backoff {
  /** At first, ms; 500 by default. */
  firstMs: number
  /** At most, ms; 30,000 by default. */
  maxMs: number
}

/** The default bounds. */
export const BACKOFF: Backoff = { firstMs: 500, maxMs: 30_000 }
/** The least wait of a client that is one too many, ms. */
const LIMIT_MS = 30_000

/**
 * The wait before a reconnect, ms: random up to a bound ("full jitter"), so that disconnected clients spread their reconnects. The
 * bound is the length of the outage so far, so a client's outage is at most twice as long as the service's.
 *
 * @param awayMs how long the client has had no connection, ms
 */
export function fullJitter (awayMs: number, { firstMs, maxMs }: Backoff): number {
  return Math.round(Math.random() * Math.min(maxMs, Math.max(firstMs, awayMs)))
}

/**
 * The wait of a client that is one too many, ms: between 30 s and a bound that grows with the outage, from one minute to five.
 * An early attempt is of no use, because another connection has to end first.
 *
 * @param awayMs how long the client has had no connection, ms
 */
export function limitJitter (awayMs: number): number {
  return LIMIT_MS + fullJitter(awayMs, { firstMs: LIMIT_MS, maxMs: 9 * LIMIT_MS })
}
