import { setImmediate as turn } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { type Address, makeClient, type RedisSettings } from './settings.ts'
import { Watchdog } from './watchdog.ts'

/** Number of channels in one SUBSCRIBE. */
const CHUNK = 500
/** Time until failed subscriptions are retried, ms. */
const RETRY_MS = 100
/** Time for the messages that the server has sent to arrive, ms. */
const CATCH_UP_MS = 1_000

export interface SubscriberOptions {
  settings: RedisSettings
  address?: Address | undefined
  /** A message that is counted and not delivered: the probe. */
  ignored: Buffer
  onMessage: (channel: Buffer, message: Buffer) => void
  /** Called when channels were subscribed again. Messages published in between are lost. */
  onInterrupted: (channels: string[]) => void
  /** Called when a channel belongs to another server. */
  onMoved: () => void
}

/** A subscribed channel, or one that will be subscribed. */
export interface Subscription {
  /** Whether it was subscribed on this or an earlier connection. */
  confirmed: boolean
  /** Resolves when it is subscribed for the first time. */
  readonly ready: Promise<void>
  readonly resolve: () => void
}

/** One connection that subscribes channels of one server, and subscribes them again after a reconnect. */
export class Subscriber {
  readonly #options: SubscriberOptions
  readonly #client: Redis
  readonly #watchdog: Watchdog
  readonly #channels = new Map<string, Subscription>()
  readonly #sharded: boolean
  /** Number of messages received. */
  received = 0
  /** Resolves when all messages sent before are received; shared by the calls of one turn of the event loop. */
  #caughtUp: Promise<void> | undefined
  #retry: NodeJS.Timeout | undefined
  #usable = false
  #closed = false

  constructor (options: SubscriberOptions) {
    this.#options = options
    this.#sharded = options.settings.kind === 'cluster'
    this.#client = makeClient(options.settings, options.address)
    this.#watchdog = new Watchdog(this.#client)
    this.#client.on('error', () => {}) // The requester of the same server reports it.
    this.#client.on('ready', () => {
      this.#usable = true
      void this.#subscribe([...this.#channels.keys()])
    })
    this.#client.on('close', () => { this.#usable = false })
    this.#client.on('moved', () => {
      options.onMoved()
      this.#subscribeSoon() // For the channels that the new map leaves here: a slot may return.
    })
    this.#client.on(this.#sharded ? 'smessageBuffer' : 'messageBuffer', (channel: Buffer, message: Buffer) => {
      this.received++
      if (!message.equals(options.ignored)) options.onMessage(channel, message)
    })
    this.#client.connect().catch(() => {})
  }

  /** All channels, whether confirmed or not. */
  get channels (): Iterable<string> {
    return this.#channels.keys()
  }

  get usable (): boolean {
    return this.#usable
  }

  /** A channel whose messages should arrive; undefined if there is none. */
  get confirmedChannel (): string | undefined {
    for (const [channel, { confirmed }] of this.#channels) if (confirmed) return channel
    return undefined
  }

  /** Time of the server's latest sign of life, ms since 1970. */
  get heardAt (): number {
    return this.#watchdog.heardAt
  }

  /** Subscribes a channel; resolves when the subscription is confirmed. */
  async add (channel: string): Promise<void> {
    let subscription = this.#channels.get(channel)
    if (subscription === undefined) {
      let resolve = (): void => {}
      const ready = new Promise<void>((_resolve) => { resolve = _resolve })
      subscription = { confirmed: false, ready, resolve }
      this.#channels.set(channel, subscription)
      if (this.#usable) void this.#subscribe([channel])
    }
    await subscription.ready
  }

  /** Takes over a channel from another server. Messages may be lost in between. */
  adopt (channel: string, subscription: Subscription): void {
    this.#channels.set(channel, subscription)
    if (this.#usable) void this.#subscribe([channel])
  }

  remove (channel: string): Subscription | undefined {
    const subscription = this.#channels.get(channel)
    this.#channels.delete(channel)
    if (subscription !== undefined && this.#usable) {
      // A lost connection has no subscriptions.
      const reply = this.#sharded ? this.#client.sunsubscribe(channel) : this.#client.unsubscribe(channel)
      reply.catch(() => {})
    }
    return subscription
  }

  /**
   * Resolves when the messages that the server has sent before are received. It also resolves when the connection is lost,
   * and after `CATCH_UP_MS`.
   */
  async caughtUp (): Promise<void> {
    await (this.#caughtUp ??= this.#catchUp())
  }

  /** Replaces the connection. */
  reconnect (): void {
    this.#client.disconnect(true)
  }

  close (): void {
    this.#closed = true
    this.#usable = false
    this.#watchdog.stop()
    clearTimeout(this.#retry)
    this.#client.disconnect()
  }

  /** Sends a PING: the server answers behind everything that it has sent before. */
  async #catchUp (): Promise<void> {
    await turn()
    this.#caughtUp = undefined
    let timer: NodeJS.Timeout | undefined
    await Promise.race([
      this.#client.ping().catch(() => {}),
      new Promise((resolve) => { timer = setTimeout(setImmediate, CATCH_UP_MS, resolve) }) // A blocked event loop reads first.
    ])
    clearTimeout(timer)
  }

  async #subscribe (channels: string[]): Promise<void> {
    const calls: Promise<void>[] = []
    // In a cluster, all channels of one call must be in one slot.
    const size = this.#sharded ? 1 : CHUNK
    const interrupted: string[] = []
    let failed = false
    for (let i = 0; i < channels.length; i += size) {
      const chunk = channels.slice(i, i + size)
      const call = this.#sharded ? this.#client.ssubscribe(...chunk) : this.#client.subscribe(...chunk)
      calls.push(call.then(() => { this.#confirm(chunk, interrupted) }, () => { failed = true }))
    }
    await Promise.all(calls)
    if (interrupted.length > 0) this.#options.onInterrupted(interrupted)
    if (failed) this.#subscribeSoon()
  }

  #subscribeSoon (): void {
    if (this.#closed) return
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined
      if (this.#usable) void this.#subscribe([...this.#channels.keys()])
    }, RETRY_MS)
  }

  #confirm (channels: string[], interrupted: string[]): void {
    for (const channel of channels) {
      const subscription = this.#channels.get(channel)
      if (subscription === undefined) continue
      if (subscription.confirmed) interrupted.push(channel)
      subscription.confirmed = true
      subscription.resolve()
    }
  }
}
