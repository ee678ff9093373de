/** The time as a client sees it. Tests replace it. */
export interface Clock {
  /** Monotonic time, ms: never goes back, and may stand still while the machine sleeps. */
  now (): number
  /** The time of day, ms since 1970: goes on while the machine sleeps, and may jump either way. */
  wall (): number
  /** Calls a function once after `ms`, perhaps later; returns a function that prevents the call. */
  after (ms: number, callback: () => void): () => void
}

/** The longest timer, ms: a longer one fires at once. */
const LONGEST_MS = 2 ** 31 - 1

/** The clock of the platform. It looks up the globals on each call, because test runners replace them. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after (ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, LONGEST_MS))
    return () => { clearTimeout(timer) }
  }
}

/**
 * Measures a time that decides whether something may be sent again, ms: the longer of the two clocks. One stands still
 * while the machine sleeps, and the other may be set back.
 */
export class Age {
  readonly #clock: Clock
  readonly #now: number
  readonly #wall: number

  constructor (clock: Clock) {
    this.#clock = clock
    this.#now = clock.now()
    this.#wall = clock.wall()
  }

  /** The time since the construction, ms. */
  get ms (): number {
    return Math.max(this.#clock.now() - this.#now, this.#clock.wall() - this.#wall)
  }
}
