/** A rate limit: `rate` frames a second, up to `burst` at once. Refused frames count, and a whole burst of refusals is abuse. */
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
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) / 1_000 * this.#rate) - 1
    this.#at = now
    if (this.#tokens >= 0) return 'granted'
    return this.#tokens < -this.#burst ? 'abused' : 'exceeded'
  }

  /** The time until the next grant, ms. */
  get retryAfterMs (): number {
    return Math.floor((1 - this.#tokens) / this.#rate * 1_000) + 1
  }
}
