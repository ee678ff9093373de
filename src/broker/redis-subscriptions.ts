import type { Envelope } from '../protocol/envelope.ts'
import type { Position } from '../protocol/position.ts'
import type { RedisServers } from '../redis/servers.ts'

/** Time from the leave of a room's last member until its channel is unsubscribed, ms. Many members reconnect within it. */
const LINGER_MS = 5_000
/** Time between two sweeps over lingering and over quiet rooms, ms. */
const SWEEP_MS = 1_000
/** Time between two comparisons of a quiet room's position, ms; longer if there are too many rooms. */
const COMPARE_MS = 30_000
/** Number of rooms compared in one sweep, at the most. */
const COMPARED_PER_SWEEP = 500
/** Time for messages up to a newer position to arrive, ms. */
const ARRIVAL_MS = 1_000

/** A room whose envelopes this instance receives. */
export interface Subscription {
  readonly room: string
  readonly channel: string
  /** When the room was unsubscribed, ms since 1970; undefined while it is subscribed. */
  unwantedAt: number | undefined
  /** Position of the latest message received; undefined in rooms without history. */
  last: Position | undefined
  /** When the latest message arrived or the position was compared, ms since 1970. */
  checkedAt: number
}

export interface RedisSubscriptionsOptions {
  servers: RedisServers
  /** Reads the position of a room; undefined for rooms without history. */
  readPosition: (room: string) => Promise<Position | undefined>
  deliver: (envelope: Envelope) => void
}

/**
 * The rooms whose envelopes this instance receives. Delivery may lose messages, so the position of a room is delivered
 * after an interruption and, in quiet rooms, when it differs from the position of the latest message.
 */
export class RedisSubscriptions {
  readonly #options: RedisSubscriptionsOptions
  /** By channel. */
  readonly #subscriptions = new Map<string, Subscription>()
  /** Unsubscribed rooms whose channels are still subscribed, in the order of the calls. */
  readonly #lingering = new Set<Subscription>()
  readonly #sweeper: NodeJS.Timeout
  /** The rest of the current pass over all subscriptions. */
  #uncompared: MapIterator<Subscription> | undefined

  constructor (options: RedisSubscriptionsOptions) {
    this.#options = options
    this.#sweeper = setInterval(() => { this.#sweep() }, SWEEP_MS)
    this.#sweeper.unref()
  }

  /** Finds the subscription of a channel; undefined unless its room is subscribed. */
  get (channel: string): Subscription | undefined {
    const subscription = this.#subscriptions.get(channel)
    return subscription?.unwantedAt === undefined ? subscription : undefined
  }

  /** Notes that a room is subscribed. The caller subscribes the channel. */
  add (room: string, channel: string): Subscription {
    let subscription = this.#subscriptions.get(channel)
    if (subscription === undefined) {
      subscription = { room, channel, unwantedAt: undefined, last: undefined, checkedAt: Date.now() }
      this.#subscriptions.set(channel, subscription)
    }
    subscription.unwantedAt = undefined
    this.#lingering.delete(subscription)
    return subscription
  }

  /** Stops the delivery of a room at once, and unsubscribes its channel later. */
  remove (channel: string): void {
    const subscription = this.#subscriptions.get(channel)
    if (subscription === undefined) return
    subscription.unwantedAt = Date.now()
    this.#lingering.add(subscription)
  }

  /** Delivers the positions of rooms that may have lost messages. */
  async compare (channels: string[] = [...this.#subscriptions.keys()]): Promise<void> {
    for (let i = 0; i < channels.length; i += COMPARED_PER_SWEEP) {
      await Promise.all(channels.slice(i, i + COMPARED_PER_SWEEP).map(async (channel) => {
        const subscription = this.get(channel)
        if (subscription !== undefined) await this.#deliverPosition(subscription)
      }))
    }
  }

  close (): void {
    clearInterval(this.#sweeper)
  }

  async #deliverPosition (subscription: Subscription): Promise<void> {
    const { room } = subscription
    const position = await this.#options.readPosition(room).catch(() => undefined)
    // While Redis is away, the next sweep reads it again.
    subscription.checkedAt = position === undefined ? 0 : Date.now()
    if (position === undefined || subscription.unwantedAt !== undefined) return
    subscription.last = position
    this.#options.deliver({ kind: 'position', room, position })
  }

  #sweep (): void {
    const now = Date.now()
    for (const subscription of this.#lingering) {
      const { channel, unwantedAt = 0 } = subscription
      if (unwantedAt + LINGER_MS > now) break
      this.#lingering.delete(subscription)
      this.#subscriptions.delete(channel)
      this.#options.servers.unsubscribe(channel)
    }
    const count = Math.min(COMPARED_PER_SWEEP, Math.ceil(this.#subscriptions.size * SWEEP_MS / COMPARE_MS))
    this.#uncompared ??= this.#subscriptions.values()
    for (let i = 0; i < count; i++) {
      const { value, done } = this.#uncompared.next()
      if (done === true) {
        this.#uncompared = undefined
        return
      }
      if (value.last !== undefined && value.unwantedAt === undefined && value.checkedAt <= now - COMPARE_MS) void this.#compareQuiet(value)
    }
  }

  /** Compares the position of a quiet room. Messages that were published just now get time to arrive. */
  async #compareQuiet (subscription: Subscription): Promise<void> {
    subscription.checkedAt = Date.now()
    const { room, last } = subscription
    const position = await this.#options.readPosition(room).catch(() => undefined)
    if (position === undefined || (position.epoch === last?.epoch && position.offset === last.offset)) return
    setTimeout(() => { void this.#deliverPosition(subscription) }, ARRIVAL_MS).unref()
  }
}
