/** The charge of a refused frame, and the least debt that is abuse, frames. */
const REFUSAL = 0.1
const MIN_ABUSE = 40

/** A rate limit: `rate` frames a second, up to `burst` at once. A refused frame counts a tenth, and a whole burst of debt is abuse. */
export class Allowance {
  readonly #rate: number
  readonly #burst: number
  readonly #now: () => number
  #tokens: number
  #at: number

  /**
   * @param rate a second; 0 is no limit
   * @param now the time, ms
   */
  constructor (rate: number, burst: number, now: () => number) {
    this.#rate = rate
    this.#burst = this.#tokens = Math.max(burst, 1)
    this.#now = now
    this.#at = now()
  }

  /** Takes one. */
  take (): 'granted' | 'exceeded' | 'abused' {
    if (this.#rate === 0) return 'granted'
    const now = this.#now()
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) / 1_000 * this.#rate)
    this.#at = now
    if (this.#tokens >= 1) {
      this.#tokens--
      return 'granted'
    }
    this.#tokens -= REFUSAL
    return this.#tokens < -Math.max(this.#burst, MIN_ABUSE) ? 'abused' : 'exceeded'
  }

  /** The time until the next grant, ms. */
  get retryAfterMs (): number {
    return Math.floor((1 - this.#tokens) / this.#rate * 1_000) + 1
  }
}
