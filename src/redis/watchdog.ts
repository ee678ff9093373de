import type { Redis } from 'ioredis'

/** Time between PINGs, ms. */
const INTERVAL_MS = 3_000
/** Time for the answer to a PING, ms. */
const ANSWER_MS = 2_000
/** Unanswered PINGs in a row until the connection is replaced. */
const MISSES = 2
/** Time from the TCP connection until it is ready, ms. A frozen server still accepts connections. */
const HANDSHAKE_MS = 3_000

/**
 * Replaces a connection that is open although the server does not answer, for example because the process is frozen or
 * the network drops packets.
 */
export class Watchdog {
  /** Time of the server's latest sign of life, ms since 1970. */
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
    // The owner of the connection handles its loss.
    await this.#client.ping().then(() => {
      this.#misses = 0
      this.heardAt = Date.now()
    }, () => {})
    clearTimeout(late)
  }
}
