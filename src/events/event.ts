import { type Channel, channel } from 'node:diagnostics_channel'

/** A named event on `node:diagnostics_channel`. Without a subscriber it costs one comparison. */
export class Event<Payload extends object> {
  /** The name of the channel. */
  readonly name: string
  // Kept here: Node collects channels that nothing refers to.
  readonly #channel: Channel

  constructor (name: string) {
    this.name = name
    this.#channel = channel(name)
  }

  /** Whether there is a subscriber. Ask before you build a payload. */
  get wanted (): boolean {
    return this.#channel.hasSubscribers
  }

  /** Hands a payload to the subscribers, at once. */
  publish (payload: Payload): void {
    this.#channel.publish(payload)
  }
}
