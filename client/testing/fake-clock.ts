import type { Clock } from '../clock.ts'
import type { EventLoop } from './event-loop.ts'

/** The start of the monotonic time, ms. */
const START_MS = 1_000
/** Timers of one advance after which the clock waits for promises only, because waiting for imports takes real time. */
const THOROUGH = 100

interface Timer {
  at: number
  callback: () => void
}

/** A clock that stands still until a test moves it. */
export class FakeClock implements Clock {
  readonly #loop: EventLoop
  readonly #timers = new Set<Timer>()
  #now = START_MS
  #wall: number
  #elapsed = 0

  /** @param wall the time of day at the start, ms since 1970 */
  constructor (loop: EventLoop, wall: number) {
    this.#loop = loop
    this.#wall = wall
  }

  now (): number {
    return this.#now
  }

  wall (): number {
    return this.#wall
  }

  after (ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + Math.max(ms, 0), callback }
    this.#timers.add(timer)
    return () => { this.#timers.delete(timer) }
  }

  /** The time that has passed for the service, ms: machines that sleep and clocks that jump do not change it. */
  get elapsed (): number {
    return this.#elapsed
  }

  /** The number of timers that wait. */
  get timers (): number {
    return this.#timers.size
  }

  /** Moves both times on, and calls the timers that are due, in order; lets promises settle after each timer. */
  async advance (ms: number): Promise<void> {
    if (!(ms >= 0)) throw new RangeError('Time does not go back; setClock changes the time of day')
    await this.#loop.settle()
    const end = this.#now + ms
    for (let fired = 0, timer; (timer = this.#next(end)) !== undefined; fired++) {
      this.#move(Math.max(timer.at, this.#now))
      this.#timers.delete(timer)
      timer.callback()
      await (fired < THOROUGH ? this.#loop.settle() : this.#loop.idle())
    }
    this.#move(end)
    await this.#loop.rest()
  }

  /** Moves the time of day on, as while a machine sleeps. */
  sleep (ms: number): void {
    this.#wall += ms
    this.#elapsed += ms
  }

  /** Changes the time of day alone, either way. */
  jump (ms: number): void {
    this.#wall += ms
  }

  /** Removes all timers. */
  clear (): void {
    this.#timers.clear()
  }

  #move (now: number): void {
    this.#wall += now - this.#now
    this.#elapsed += now - this.#now
    this.#now = now
  }

  /** The earliest timer up to an instant; of several at one instant, the first that was set. */
  #next (end: number): Timer | undefined {
    let earliest: Timer | undefined
    for (const timer of this.#timers) if (timer.at <= end && (earliest === undefined || timer.at < earliest.at)) earliest = timer
    return earliest
  }
}
