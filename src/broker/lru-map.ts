/**
 * A map whose entries are in the order of their latest `set`. It finds the oldest entry in constant time, where a new
 * iterator of a `Map` would pass by all entries that were deleted before.
 */
export class LruMap<K, V> {
  readonly #map = new Map<K, V>()
  /** Stands behind the oldest entry that was found. All other entries before it are deleted. */
  readonly #entries = this.#map.entries()
  #oldest: [K, V] | undefined

  get size (): number {
    return this.#map.size
  }

  get (key: K): V | undefined {
    return this.#map.get(key)
  }

  /** Sets a value, as the most recently used. */
  set (key: K, value: V): void {
    this.delete(key)
    this.#map.set(key, value)
  }

  delete (key: K): void {
    if (this.#map.delete(key) && this.#oldest?.[0] === key) this.#oldest = undefined
  }

  /** The least recently used entry; undefined in an empty map. */
  get oldest (): readonly [K, V] | undefined {
    // An iterator that has come to its end would not find later entries.
    if (this.#oldest === undefined && this.#map.size > 0) this.#oldest = this.#entries.next().value
    return this.#oldest
  }
}
