import { Age, type Clock } from './clock.ts'

/** The silence before a ping, ms, where the service sends no heartbeats. */
const SILENCE_MS = 25_000
/** The shortest silence before a ping, ms, whatever the service names. */
const MIN_SILENCE_MS = 1_000
/** The longest wait for the answer to a ping, ms. */
const ANSWER_MS = 10_000
/** The longest wait for the answer to a ping after a change of network, ms. */
const QUICK_ANSWER_MS = 3_000

/** The parts of a liveness watch. */
export interface LivenessOptions {
  clock: Clock
  /** The interval of the service's heartbeats, ms; 0 where it sends none. */
  heartbeatMs: number
  /** Asks the service for a sign of life. */
  ping: () => void
  onDead: () => void
}

/** Detects a dead link: it asks for a sign of life after one heartbeat interval of silence. Browsers hide the pings of WebSockets. */
export class Liveness {
  readonly #options: LivenessOptions
  readonly #silenceMs: number
  #cancel = (): void => {}
  #heard: Age
  /** The time of an unanswered ping, and the longest wait for its answer; undefined without one. */
  #asked: { at: number, ms: number } | undefined

  /** Starts watching. */
  constructor (options: LivenessOptions) {
    this.#options = options
    this.#silenceMs = Math.max(MIN_SILENCE_MS, options.heartbeatMs || SILENCE_MS)
    this.#heard = new Age(options.clock)
    this.#check()
  }

  /** Records a frame, a heartbeat or an answer. */
  hear (): void {
    this.#heard = new Age(this.#options.clock)
    this.#asked = undefined
  }

  /** Expects an answer soon, after a change of network. */
  hurry (): void {
    this.#ask(QUICK_ANSWER_MS)
    this.#check()
  }

  /** Stops watching. */
  stop (): void {
    this.#cancel()
  }

  #check (): void {
    this.#cancel()
    const { clock, onDead } = this.#options
    // A ping comes before any verdict: timers fire late in background pages, and after the machine has slept.
    if (this.#asked === undefined && this.#heard.ms >= this.#silenceMs) this.#ask(ANSWER_MS)
    const asked = this.#asked
    const ms = asked === undefined ? this.#silenceMs - this.#heard.ms : asked.at + asked.ms - clock.now()
    if (ms <= 0) onDead()
    else this.#cancel = clock.after(Math.max(ms, 10), () => { this.#check() })
  }

  #ask (ms: number): void {
    this.#asked = { at: this.#options.clock.now(), ms }
    this.#options.ping()
  }
}
