/** Steps per power of two: a value is known to 1.6 %. */
const STEPS = 64
const POWERS_OF_TWO = 26

/** How often each latency occurred, in ticks of 100 ns. Recording one makes nothing new. */
export class Histogram {
  readonly #counts = new Uint32Array(STEPS * (POWERS_OF_TWO + 2))
  #total = 0
  #max = 0

  /** @param ticks an integer, less than 2^32 */
  record (ticks: number): void {
    const shift = ticks < 2 * STEPS ? 0 : 25 - Math.clz32(ticks)
    const index = shift * STEPS + (ticks >>> shift)
    this.#counts[index] = (this.#counts[index] as number) + 1
    this.#total++
    if (ticks > this.#max) this.#max = ticks
  }

  clear (): void {
    this.#counts.fill(0)
    this.#total = 0
    this.#max = 0
  }

  /** The value, µs, that a share of all values is not above; 0 if there are none. */
  percentile (share: number): number {
    if (this.#total === 0) return 0
    let left = share * this.#total
    for (const [index, count] of this.#counts.entries()) {
      left -= count
      if (left <= 0 && count > 0) return Math.min(middleOf(index), this.#max) / 10
    }
    return this.#max / 10
  }
}

function middleOf (index: number): number {
  const shift = Math.max(0, Math.floor(index / STEPS) - 1)
  const low = (index - shift * STEPS) * 2 ** shift
  return shift === 0 ? low : low + 2 ** shift / 2
}
