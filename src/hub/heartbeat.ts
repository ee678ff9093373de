import type { Connection } from './connection.ts'
import type { Hub } from './hub.ts'

/** Time between sweeps, ms. */
const SWEEP_MS = 500
const SWEEPS_PER_SECOND = 1_000 / SWEEP_MS
/** Time for a client to answer a ping, in sweeps. */
const ANSWER_SWEEPS = 10 * SWEEPS_PER_SECOND
/** Delay of a sweep that shows a stall of the event loop, ms: answers may lie unread in the kernel. */
const STALL_MS = SWEEP_MS * 4

/** Time between two checks for unfinished messages when pings are off, s. */
const IDLE_PERIOD_SECONDS = 25

/**
 * Sweeps over all connections, for heartbeats, expired tokens and unfinished messages, so that no connection needs a timer
 * (setTimeout would also fire at once for a token that expires in 25 days). Time is counted in sweeps: a stall of the event
 * loop makes no client late.
 */
export class Heartbeat {
  readonly #hub: Hub
  readonly #pings: boolean
  readonly #period: number
  readonly #timer: NodeJS.Timeout
  #last = performance.now()

  /** @param seconds between pings; 0 sends none and closes no silent client */
  constructor (hub: Hub, seconds: number) {
    this.#hub = hub
    this.#pings = seconds > 0
    this.#period = (this.#pings ? seconds : IDLE_PERIOD_SECONDS) * SWEEPS_PER_SECOND
    this.#timer = setInterval(() => { this.#sweep() }, SWEEP_MS)
  }

  stop (): void {
    clearInterval(this.#timer)
  }

  #sweep (): void {
    const now = performance.now()
    const stalled = now - this.#last > STALL_MS
    this.#last = now
    if (!stalled) this.#hub.tick++
    const wallClock = Date.now()
    for (const connection of this.#hub.connections) {
      if (connection.ended) continue
      if (connection.expiresAt <= wallClock) connection.close('unauthorized')
      else if (!stalled) this.#check(connection)
    }
  }

  #check (connection: Connection): void {
    const { tick } = this.#hub
    if (this.#pings && connection.answers && tick - connection.heard > this.#period + ANSWER_SWEEPS) {
      connection.close('noHeartbeat')
      connection.terminate()
      return
    }
    if ((tick + connection.slot) % this.#period !== 0) return
    // Unfinished at two heartbeats, with only pongs in between: the message will not end.
    if (connection.unfinished && connection.wasUnfinished) {
      connection.close('unfinishedMessage')
      return
    }
    connection.wasUnfinished = connection.unfinished
    if (this.#pings) connection.ping()
  }
}
