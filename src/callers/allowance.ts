/**
 * A token bucket: `rate` a second, up to `burst` at once. A refusal costs as much as a success, so a client that does
 * not slow down sinks below zero. A whole burst below zero is abuse.
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

  take (): 'granted' | 'exceeded' | 'abused' {
    if (this.#rate === 0) return 'granted'
    const now = performance.now()
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) / 1_000 * this.#rate) - 1
    this.#at = now
    if (this.#tokens >= 0) return 'granted'
    return this.#tokens < -this.#burst ? 'abused' : 'exceeded'
  }

  /** Time until the next grant, ms. */
  get retryAfterMs (): number {
    return Math.ceil((1 - this.#tokens) / this.#rate * 1_000)
  }
}
