import type { Requester } from './requester.ts'
import type { Subscriber } from './subscriber.ts'

/** Between looks, ms. */
const LOOK_MS = 1_000
/** A connection on which nothing came for so many looks is tried out. */
const QUIET_LOOKS = 5
/** What was published has so many looks to come back. Looks are counted, and not time: while the event loop stands still nothing is read. */
const ANSWER_LOOKS = 2

/** What is published to see whether it comes back: version 1, kind p. Nodes drop it when it comes. */
export const PROBE = Buffer.from('\u0001p')

/**
 * Notices a subscriber's connection that answers and delivers nothing, as happens behind proxies and where a server has lost its
 * subscriptions: after a while of silence something is published on a channel of its own, and what does not come back is
 * a reason to replace the connection.
 */
export class Probe {
  /** How often nothing came back. */
  failures = 0
  readonly #requester: Requester
  readonly #subscriber: Subscriber
  readonly #publishCommand: string
  readonly #timer: NodeJS.Timeout
  /** How many envelopes had come at the last look. */
  #received = 0
  /** Looks since something came. */
  #quiet = 0
  /** Looks since the server took what was published; undefined while nothing is under way. */
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
      // Where it fails, the requester's own watchdog has something to say about it.
      this.#requester.ask(this.#publishCommand, channel, PROBE.toString()).then(() => { this.#waiting = 0 }, () => {})
    }
  }
}
