/** Deepest nesting of published JSON, over every entry point: `[[1]]` is two deep. */
export const MAX_JSON_DEPTH = 32

/**
 * Whether a parsed JSON value is nested deeper than `limit`. It recurses no deeper than that, so it also finds values that
 * JSON.parse accepts and that would overflow JSON.stringify.
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
