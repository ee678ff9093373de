import type { Requester } from './requester.ts'
import type { Subscriber } from './subscriber.ts'

/** Time between two looks, ms. */
const LOOK_MS = 1_000
/** A connection without messages for this many looks is probed. */
const QUIET_LOOKS = 5
/** Looks until a probe must have arrived. Looks are counted instead of time, because a blocked event loop reads nothing. */
const ANSWER_LOOKS = 2

/** The payload of a probe: version 1, kind p. Subscribers drop it. */
export const PROBE = Buffer.from('\u0001p')

/**
 * Detects a subscriber's connection that answers PINGs and delivers no messages. Some proxies cause that, and servers
 * that lost their subscriptions. After a silence the probe publishes to a subscribed channel. If the message does not
 * arrive, the connection is replaced.
 */
export class Probe {
  /** Number of probes that did not arrive. */
  failures = 0
  readonly #requester: Requester
  readonly #subscriber: Subscriber
  readonly #publishCommand: string
  readonly #timer: NodeJS.Timeout
  /** Number of messages at the latest look. */
  #received = 0
  /** Looks since the latest message. */
  #quiet = 0
  /** Looks since the server accepted the probe; undefined if none is pending. */
  #waiting: number | undefined

  constructor (requester: Requester, subscriber: Subscriber, publishCommand: string) {
    this.#requester = requester
    this.#subscriber = subscriber
    this.#publishCommand = publishCommand
    this.#timer = setInterval(() => { this.#look() }, LOOK_MS)
    this.#timer.unref()
  }

  stop (): void {
    clearInterval(this.#timer)
  }

  #look (): void {
    const { received, usable, confirmedChannel: channel } = this.#subscriber
    if (received !== this.#received || !usable || channel === undefined) {
      this.#received = received
      this.#quiet = 0
      this.#waiting = undefined
    } else if (this.#waiting !== undefined) {
      if (++this.#waiting <= ANSWER_LOOKS) return
      this.failures++
      this.#quiet = 0
      this.#waiting = undefined
      this.#subscriber.reconnect()
    } else if (++this.#quiet >= QUIET_LOOKS && this.#requester.usable) {
      this.#quiet = 0
      // The watchdog of the requester handles failures.
      this.#requester.ask(this.#publishCommand, channel, PROBE.toString()).then(() => { this.#waiting = 0 }, () => {})
    }
  }
}
