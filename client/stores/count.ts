/** A number of messages: a whole one, and 0 for a negative number or NaN. */
export function toCount (value: number): number {
  return value > 0 ? Math.floor(value) : 0
}
