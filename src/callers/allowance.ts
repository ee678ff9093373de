/** The charge of a refusal by `take`, in tokens. */
const REFUSAL = 0.1
/** The least debt that is abuse, in tokens: many frames may be under way when a client learns of the first refusal. */
const MIN_ABUSE = 40

/**
 * A token bucket: `rate` a second, up to `burst` at once. `take` charges a refusal a tenth of a success: a client that does not
 * slow down sinks below zero, and a whole burst below zero (40 at least) is abuse. `admit` charges nothing for a refusal.
 */
export class Allowance {
  readonly #rate: number
  readonly #burst: number
  #tokens: number
  #at = performance.now()

  /** @param rate a second; 0 is no limit */
  constructor (rate: number, burst: number) {
    this.#rate = rate
    this.#burst = Math.max(burst, 1)
    this.#tokens = this.#burst
  }

  /** Takes one. */
  take (): 'granted' | 'exceeded' | 'abused' {
    if (this.#rate === 0) return 'granted'
    this.#refill()
    if (this.#tokens >= 1) {
      this.#tokens--
      return 'granted'
    }
    this.#tokens -= REFUSAL
    return this.#tokens < -Math.max(this.#burst, MIN_ABUSE) ? 'abused' : 'exceeded'
  }

  /**
   * Takes several as a whole, if at least one is left. The rest is a debt: more than a burst at once is possible, and the wait
   * after it is longer.
   */
  admit (count: number): boolean {
    if (this.#rate === 0) return true
    this.#refill()
    if (this.#tokens < 1) return false
    this.#tokens -= count
    return true
  }

  /** Whether it is as good as new. */
  get isFull (): boolean {
    this.#refill()
    return this.#tokens >= this.#burst
  }

  /** Time until the next grant, ms. It is never a rounding error too short. */
  get retryAfterMs (): number {
    return Math.floor((1 - this.#tokens) / this.#rate * 1_000) + 1
  }

  #refill (): void {
    const now = performance.now()
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) / 1_000 * this.#rate)
    this.#at = now
  }
}
