/** The silence before a ping, ms, where the server sends no heartbeats. */
const SILENCE_MS = 25_000
/** The longest wait for the answer to a ping, ms. */
const ANSWER_MS = 10_000

/** Detects a connection that is dead: it asks after one heartbeat interval of silence. */
export class Watch {
  readonly #silenceMs: number
  readonly #ask: () => void
  readonly #onDead: () => void
  #heardAt = Date.now()
  #silence: ReturnType<typeof setTimeout> | undefined
  /** Runs while an answer is due. */
  #answer: ReturnType<typeof setTimeout> | undefined

  /** @param heartbeatMs the interval of the server's heartbeats; 0 where it sends none */
  constructor (heartbeatMs: number, ask: () => void, onDead: () => void) {
    this.#silenceMs = heartbeatMs || SILENCE_MS
    this.#ask = ask
    this.#onDead = onDead
    this.#wait()
  }

  /** Records that a frame has arrived. */
  hear (): void {
    this.#heardAt = Date.now()
    clearTimeout(this.#answer)
    this.#answer = undefined
  }

  /** Asks now, and expects an answer within some time, unless one is due already. */
  ask (answerMs = ANSWER_MS): void {
    this.#answer ??= setTimeout(this.#onDead, answerMs)
    this.#ask()
  }

  /** Stops watching. */
  stop (): void {
    clearTimeout(this.#silence)
    clearTimeout(this.#answer)
  }

  #wait (): void {
    this.#heardAt = Math.min(this.#heardAt, Date.now()) // The time of day may be set back.
    this.#silence = setTimeout(() => {
      if (this.#answer === undefined && Date.now() - this.#heardAt >= this.#silenceMs) this.ask()
      this.#wait()
    }, Math.max(this.#heardAt + this.#silenceMs - Date.now(), 1_000))
  }
}
