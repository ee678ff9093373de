import type { Clock } from '../../client/clock.ts'

/** A clock that goes on when a test says so: `tick` for both times, `sleep` for the time of day alone, as in a machine that sleeps. */
export class ManualClock implements Clock {
  #now = 1_000
  #wall = 1_700_000_000_000
  readonly #timers = new Set<{ at: number, callback: () => void }>()

  now (): number {
    return this.#now
  }

  wall (): number {
    return this.#wall
  }

  after (ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), callback }
    this.#timers.add(timer)
    return () => { this.#timers.delete(timer) }
  }

  /** The time until the next timer, ms; infinity without one. */
  get next (): number {
    return Math.min(Infinity, ...[...this.#timers].map(({ at }) => at - this.#now))
  }

  /** Goes on, and calls the timers that are due, in their order. */
  tick (ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const [timer] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
      if (timer === undefined) break
      this.#timers.delete(timer)
      this.sleep(timer.at - this.#now)
      this.#now = timer.at
      timer.callback()
    }
    this.sleep(end - this.#now)
    this.#now = end
  }

  /** Changes the time of day alone: the machine sleeps, or its clock is set. */
  sleep (ms: number): void {
    this.#wall += ms
  }
}
