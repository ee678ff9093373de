/** How deep published JSON may be nested: `[[1]]` is two deep. The same by every door. */
export const MAX_JSON_DEPTH = 32

/**
 * Whether a parsed JSON value is nested deeper than `limit`. Never goes deeper than that itself, so that what
 * JSON.parse takes and JSON.stringify would overflow on is found here.
 */
export function isDeeperThan (value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (limit === 0) return true
  if (Array.isArray(value)) {
    for (const item of value) if (isDeeperThan(item, limit - 1)) return true
    return false
  }
  for (const key in value) if (isDeeperThan((value as Record<string, unknown>)[key], limit - 1)) return true
  return false
}
