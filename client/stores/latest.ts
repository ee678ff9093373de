/** A number of messages: a whole one, and 0 for a negative number or NaN. */
export function toCount (value: number): number {
  return value > 0 ? Math.floor(value) : 0
}

/** The last items of a list; `count` is a whole number. */
export function latest<Item> (items: readonly Item[], count: number): readonly Item[] {
  return count === 0 ? [] : items.slice(-count)
}
