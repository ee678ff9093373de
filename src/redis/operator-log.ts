import type { Requester, ServerInfo } from './requester.ts'
import { nameOf } from './settings.ts'

/** Rejected requests are logged once in this time, ms: Redis may reject every request. */
const REJECTIONS_INTERVAL_MS = 10_000

/** Receives events for the operator. */
export type OnEvent = (level: 'info' | 'warn' | 'error', message: string, error?: unknown) => void

/** Tells the operator about the connections to Redis, and about its settings. */
export class OperatorLog {
  readonly #onEvent: OnEvent
  /** Set once the first connections are made. A failure before that ends the start with another message. */
  started = false
  /** When a rejection was logged, ms since 1970. */
  #rejectedAt = 0

  constructor (onEvent: OnEvent) {
    this.#onEvent = onEvent
  }

  ready (requester: Requester, { evictionPolicy }: ServerInfo): void {
    if (this.started) this.#onEvent('info', `connected to Redis${placeOf(requester)}`)
    if (evictionPolicy !== '' && evictionPolicy !== 'noeviction') {
      this.#onEvent('warn', `Redis${placeOf(requester)} has maxmemory-policy ${evictionPolicy}: it may throw away rooms and their positions; noeviction is the one to use`)
    }
  }

  lost (requester: Requester): void {
    if (this.started) this.#onEvent('warn', `lost the connection to Redis${placeOf(requester)}`, requester.lastError)
  }

  rejected (requester: Requester, error: Error): void {
    if (Date.now() < this.#rejectedAt + REJECTIONS_INTERVAL_MS) return
    this.#rejectedAt = Date.now()
    this.#onEvent('error', `Redis${placeOf(requester)} refuses what it is asked: ${error.message}`)
  }

  mapFailed (error: unknown): void {
    this.#onEvent('error', 'the map of the Redis cluster could not be read', error)
  }
}

function placeOf ({ address }: Requester): string {
  return address === undefined ? '' : ` at ${nameOf(address)}`
}
