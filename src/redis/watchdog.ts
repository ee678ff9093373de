import type { Redis } from 'ioredis'

/** Time between PINGs, ms. */
const INTERVAL_MS = 3_000
/** Time to answer one, and to be ready again after connecting, ms. */
const ANSWER_MS = 2_000
/** So many unanswered in a row, and the connection is replaced. */
const MISSES = 2
/** Time from the TCP connection to being ready: a frozen server still accepts, ms. */
const HANDSHAKE_MS = 3_000

/**
 * Notices that the server behind a connection does not answer any more, although the connection is open (the process is
 * frozen, the network drops everything), and has it replaced.
 */
export class Watchdog {
  /** When the server was last heard of, ms since 1970. */
  heardAt = 0
  readonly #client: Redis
  readonly #timer: NodeJS.Timeout
  #handshake: NodeJS.Timeout | undefined
  #misses = 0

  constructor (client: Redis) {
    this.#client = client
    this.#timer = setInterval(() => { void this.#ask() }, INTERVAL_MS)
    client.on('connect', () => {
      clearTimeout(this.#handshake)
      this.#handshake = setTimeout(() => { client.disconnect(true) }, HANDSHAKE_MS)
    })
    client.on('close', () => { clearTimeout(this.#handshake) })
    client.on('ready', () => {
      clearTimeout(this.#handshake)
      this.#misses = 0
      this.heardAt = Date.now()
    })
  }

  stop (): void {
    clearInterval(this.#timer)
    clearTimeout(this.#handshake)
  }

  async #ask (): Promise<void> {
    if (this.#client.status !== 'ready') return
    const late = setTimeout(() => {
      this.#misses++
      if (this.#misses < MISSES) return
      this.#misses = 0
      this.#client.disconnect(true)
    }, ANSWER_MS)
    // A connection that is lost is noticed elsewhere.
    await this.#client.ping().then(() => {
      this.#misses = 0
      this.heardAt = Date.now()
    }, () => {})
    clearTimeout(late)
  }
}
