/** The longest delay that the service may name, ms. */
const LONGEST_MS = 3_600_000

/**
 * Reads a time that the service, or a proxy, has named, ms. Every such time becomes a timer, and timers fire at once for numbers
 * that they cannot hold.
 *
 * @returns a number from 0 to an hour; undefined for a value that is no time
 */
export function readDelay (ms: unknown): number | undefined {
  return typeof ms === 'number' && ms >= 0 ? Math.min(ms, LONGEST_MS) : undefined
}

/**
 * Reads the header `Retry-After`, in seconds or a date (RFC 9110, section 10.2.3), ms. A date is compared with that of the response,
 * because the own time of day may be wrong. Browsers may hide the date of the response.
 */
export function readRetryAfter (headers: Headers): number | undefined {
  const value = headers.get('retry-after')
  if (value === null) return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - (Date.parse(headers.get('date') ?? '') || Date.now())
  return readDelay(Math.max(0, ms))
}
