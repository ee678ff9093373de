import type { Clock } from '../../client/clock.ts'

/** A timer, by the time at which it is due: `now()` of the disturbed clock, ms. */
interface Timer {
  at: number
  callback: () => void
  cancel: () => void
}

/**
 * The clock of one client, over another clock: a test sets its time of day either way, stops its timers, makes them late, or puts
 * its machine to sleep. The clock below goes on.
 */
export class DisturbedClock implements Clock {
  readonly #clock: Clock
  readonly #timers = new Set<Timer>()
  /** The difference of the time of day from that of the clock below, ms. */
  #wallMs = 0
  /** The time that the machine has slept, ms. */
  #sleptMs = 0
  /** The start of the sleep by the clock below; undefined while the machine is awake. */
  #sleepsSince: number | undefined
  #isStopped = false
  #lateMs = 0
  /** The sum of all jumps and sleeps that made the time of day go ahead of the monotonic time, ms. */
  aheadMs = 0

  constructor (clock: Clock) {
    this.#clock = clock
  }

  now (): number {
    return (this.#sleepsSince ?? this.#clock.now()) - this.#sleptMs
  }

  wall (): number {
    return this.#clock.wall() + this.#wallMs
  }

  after (ms: number, callback: () => void): () => void {
    const timer = { at: this.now() + Math.max(0, ms), callback, cancel: () => {} }
    this.#timers.add(timer)
    this.#arm(timer)
    return () => { this.#remove(timer) }
  }

  /** Changes the time of day alone, either way, ms. */
  jump (ms: number): void {
    this.#wallMs += ms
    this.aheadMs += Math.max(0, ms)
  }

  /** Makes all timers late that are set, or fire, from now on, ms. */
  delay (ms: number): void {
    this.#lateMs = ms
    this.#armAll()
  }

  /** Stops the timers, as in a background page or a stopped process. Both times go on. */
  stop (): void {
    this.#isStopped = true
    this.#disarm()
  }

  /** Stops the timers and the monotonic time, as in a machine that sleeps. The time of day goes on. */
  sleep (): void {
    this.#sleepsSince ??= this.#clock.now()
    this.#disarm()
  }

  /** Ends `stop` and `sleep`: calls at once, and in their order, all timers that are due. */
  go (): void {
    if (this.#sleepsSince !== undefined) {
      const ms = this.#clock.now() - this.#sleepsSince
      this.#sleptMs += ms
      this.aheadMs += ms
    }
    this.#sleepsSince = undefined
    this.#isStopped = false
    const now = this.now() - this.#lateMs
    for (const timer of [...this.#timers].sort((a, b) => a.at - b.at)) if (timer.at <= now && this.#timers.has(timer)) this.#fire(timer)
    this.#armAll()
  }

  #armAll (): void {
    this.#disarm()
    for (const timer of this.#timers) this.#arm(timer)
  }

  #arm (timer: Timer): void {
    if (this.#isStopped || this.#sleepsSince !== undefined) return
    timer.cancel = this.#clock.after(Math.max(0, timer.at + this.#lateMs - this.now()), () => { this.#fire(timer) })
  }

  #disarm (): void {
    for (const { cancel } of this.#timers) cancel()
  }

  #fire (timer: Timer): void {
    this.#remove(timer)
    timer.callback()
  }

  #remove (timer: Timer): void {
    timer.cancel()
    this.#timers.delete(timer)
  }
}
