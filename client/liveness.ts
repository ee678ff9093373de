/** The silence before a ping, ms, where the server sends no heartbeats. */
const SILENCE_MS = 25_000
/** The longest wait for the answer to a ping, ms. */
const ANSWER_MS = 10_000
/** The longest wait for the answer to a ping after a change of network, ms. */
const QUICK_ANSWER_MS = 3_000

/** Detects a dead WebSocket. Browsers hide protocol pings, so a ping frame is sent after one heartbeat interval of silence. */
export class Liveness {
  readonly #heartbeatMs: number
  readonly #ping: () => void
  readonly #onDead: () => void
  #timer: ReturnType<typeof setTimeout> | undefined
  #heardAt = Date.now()
  /** The time of an unanswered ping, ms since 1970; otherwise 0. */
  #askedAt = 0

  /**
   * Starts watching.
   *
   * @param heartbeatMs the interval of the server's heartbeats; 0 where it sends none
   */
  constructor (heartbeatMs: number, ping: () => void, onDead: () => void) {
    this.#heartbeatMs = heartbeatMs || SILENCE_MS
    this.#ping = ping
    this.#onDead = onDead
    this.#check()
  }

  /** Records that a frame or a heartbeat has arrived. */
  hear (): void {
    this.#heardAt = Date.now()
    this.#askedAt = 0
  }

  /** Expects an answer soon, after a change of network. */
  hurry (): void {
    const heardAt = this.#heardAt
    this.#ask()
    setTimeout(() => { if (this.#heardAt === heardAt) this.#onDead() }, QUICK_ANSWER_MS)
  }

  /** Stops watching. */
  stop (): void {
    clearTimeout(this.#timer)
  }

  #check (): void {
    const now = Date.now()
    // Timers of background pages fire late: a ping comes before any verdict.
    if (this.#askedAt > 0 && now - this.#askedAt >= ANSWER_MS) {
      this.#onDead()
      return
    }
    if (this.#askedAt === 0 && now - this.#heardAt >= this.#heartbeatMs) this.#ask()
    const due = this.#askedAt > 0 ? this.#askedAt + ANSWER_MS : this.#heardAt + this.#heartbeatMs
    this.#timer = setTimeout(() => { this.#check() }, Math.max(due - now, 10))
  }

  #ask (): void {
    this.#askedAt = Date.now()
    this.#ping()
  }
}
