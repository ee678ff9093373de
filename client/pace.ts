/** The growth of the rate with each accepted frame, for each frame accepted since the last refusal, so that it finds a higher rate soon. */
const GROWTH = 1e-5
/** The share of earlier measurements in the next one. */
const MEMORY = 0.6
/** The maximum of frames sent at once after a pause. */
const MAX_BURST = 32

/**
 * Learns how fast the service takes frames, from its refusals, and paces the frames to come. The service counts with a token
 * bucket, and each refusal names the time at which the bucket has its next token. Between two of these times the service grants
 * exactly as many frames as it has accepted, so their quotient is the rate. All times are in ms.
 */
export class Pace {
  /** Frames per ms. */
  #rate = Infinity
  #tokens = 0
  #burst = MAX_BURST
  #at = 0
  /** The time named by the last refusal, if frames have been waiting ever since, and the frames accepted since then. */
  #since: number | undefined
  #accepted = 0
  /** The measured frames, and the time that they took; the latest count most. */
  #frames = 0
  #ms = 0

  /** The wait until the next frame may be sent. */
  wait (now: number): number {
    if (this.#rate === Infinity) return 0
    this.#refill(now)
    return this.#tokens >= 1 ? 0 : (1 - this.#tokens) / this.#rate
  }

  /** A frame was sent. */
  spend (): void {
    this.#tokens--
  }

  /** A frame was accepted. */
  accept (): void {
    this.#rate *= 1 + GROWTH * ++this.#accepted
    this.#burst = Math.min(MAX_BURST, this.#burst + 1 / 128)
  }

  /**
   * A frame was refused: the first one of those that were under way.
   *
   * @param at the time at which the service takes the next frame
   */
  refuse (now: number, at: number): void {
    if (this.#since !== undefined) {
      this.#frames = this.#frames * MEMORY + this.#accepted
      this.#ms = this.#ms * MEMORY + at - this.#since
    }
    if (this.#frames > 0) this.#rate = this.#frames / Math.max(1, this.#ms)
    else if (this.#rate === Infinity) this.#rate = 1 / Math.max(1, at - now)
    this.#burst = Math.max(1, this.#burst / 2)
    this.#tokens = 1
    this.#at = this.#since = at
    this.#accepted = 0
  }

  /** Another frame of those under way was refused, which names a later time. */
  delay (at: number): void {
    if (at <= this.#at) return
    this.#at = at
    if (this.#since !== undefined) this.#since = at
  }

  /** No frame waits, or all are held: the accepted frames say nothing of the rate any more. */
  rest (): void {
    this.#since = undefined
  }

  #refill (now: number): void {
    if (now <= this.#at) return
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#rate)
    this.#at = now
  }
}
