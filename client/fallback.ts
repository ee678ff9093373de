import type { Clock } from './clock.ts'
import type { Transport } from './link.ts'

/** Consecutive WebSockets that failed before the client tries event streams. */
const FAILURES = 2
/** The wait before the first WebSocket beside an event stream, ms. It is short, because the service may only have restarted. */
const FIRST_RETURN_MS = 1_000
/** The next waits, ms: they double from one bound to the other. */
const RETURN_MS = 60_000
const MAX_RETURN_MS = 600_000

/** Chooses the transport of each link, and schedules the return from event streams to a WebSocket. */
export class Fallback {
  readonly #clock: Clock
  readonly #transports: readonly Transport[]
  readonly #tryWebSocket: () => void
  #last: Transport | undefined
  #failures = 0
  #returnMs = 0
  #cancelTimer = (): void => {}

  /** @param tryWebSocket opens a WebSocket beside the event stream */
  constructor (clock: Clock, transports: readonly Transport[], tryWebSocket: () => void) {
    this.#clock = clock
    this.#transports = transports
    this.#tryWebSocket = tryWebSocket
  }

  /** The transport of the next link. After failures the two alternate, because either may be blocked. */
  choose (): Transport {
    const [first = 'events', second] = this.#transports
    this.#last = second === undefined || this.#failures < FAILURES ? first : this.#last === 'events' ? 'websocket' : 'events'
    return this.#last
  }

  /** Records the end of a link. A close code proves that the WebSocket reached the service. */
  onEnd (transport: Transport | undefined, held: boolean, code: number): void {
    if (held) this.#returnMs = 0
    if (transport === 'websocket') this.#failures = held || code !== 1006 ? 0 : this.#failures + 1
  }

  /** Schedules a WebSocket, where the client may use one. */
  returnLater (): void {
    if (!this.#transports.includes('websocket')) return
    this.#cancelTimer()
    this.#cancelTimer = this.#clock.after(this.#returnMs || FIRST_RETURN_MS, this.#tryWebSocket)
    this.#returnMs = Math.min(MAX_RETURN_MS, Math.max(RETURN_MS, this.#returnMs * 2))
  }

  /** Cancels the scheduled WebSocket. */
  stop (): void {
    this.#cancelTimer()
  }
}
