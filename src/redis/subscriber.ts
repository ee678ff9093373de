import type { Redis } from 'ioredis'
import { PROBE } from './probe.ts'
import { type Address, makeClient, type RedisSettings } from './settings.ts'
import { Watchdog } from './watchdog.ts'

/** Channels in one SUBSCRIBE, when there are many. */
const CHUNK = 500
/** Until what could not be subscribed is tried again, ms. */
const RETRY_MS = 100

export interface SubscriberOptions {
  settings: RedisSettings
  address?: Address | undefined
  onMessage: (channel: Buffer, message: Buffer) => void
  /** The channels are subscribed again; what was published in between did not come. */
  onInterrupted: (channels: string[]) => void
  /** A channel belongs to another server now. */
  onMoved: () => void
}

/** A channel that is subscribed or is to be. */
export interface Subscription {
  /** Was subscribed on this or an earlier connection. */
  confirmed: boolean
  /** Resolves when it is, for the first time. */
  readonly ready: Promise<void>
  readonly resolve: () => void
}

/** One connection that subscribes channels of one server, and subscribes them again when it was lost. */
export class Subscriber {
  readonly #options: SubscriberOptions
  readonly #client: Redis
  readonly #watchdog: Watchdog
  readonly #channels = new Map<string, Subscription>()
  readonly #sharded: boolean
  /** Counts what has come. */
  received = 0
  #retry: NodeJS.Timeout | undefined
  #usable = false
  #closed = false

  constructor (options: SubscriberOptions) {
    this.#options = options
    this.#sharded = options.settings.kind === 'cluster'
    this.#client = makeClient(options.settings, options.address)
    this.#watchdog = new Watchdog(this.#client)
    this.#client.on('error', () => {}) // The requester's connection to the same server says why.
    this.#client.on('ready', () => {
      this.#usable = true
      void this.#subscribe([...this.#channels.keys()])
    })
    this.#client.on('close', () => { this.#usable = false })
    this.#client.on('moved', () => {
      options.onMoved()
      this.#subscribeSoon() // What the new map leaves here: a slot may have come back.
    })
    this.#client.on(this.#sharded ? 'smessageBuffer' : 'messageBuffer', (channel: Buffer, message: Buffer) => {
      this.received++
      if (!message.equals(PROBE)) options.onMessage(channel, message)
    })
    this.#client.connect().catch(() => {})
  }

  /** Those that are subscribed or are to be. */
  get channels (): Iterable<string> {
    return this.#channels.keys()
  }

  get usable (): boolean {
    return this.#usable
  }

  /** One whose messages ought to come; undefined if there is none. */
  get confirmedChannel (): string | undefined {
    for (const [channel, { confirmed }] of this.#channels) if (confirmed) return channel
    return undefined
  }

  /** When the server was last heard of, ms since 1970. */
  get heardAt (): number {
    return this.#watchdog.heardAt
  }

  /** Subscribes a channel; resolves when messages come for certain. */
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

  /** Takes over a channel from another server. Messages may have been lost on the way. */
  adopt (channel: string, subscription: Subscription): void {
    this.#channels.set(channel, subscription)
    if (this.#usable) void this.#subscribe([channel])
  }

  remove (channel: string): Subscription | undefined {
    const subscription = this.#channels.get(channel)
    this.#channels.delete(channel)
    if (subscription !== undefined && this.#usable) {
      // Not answered, it was lost with the connection, and so was the subscription.
      const reply = this.#sharded ? this.#client.sunsubscribe(channel) : this.#client.unsubscribe(channel)
      reply.catch(() => {})
    }
    return subscription
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

  async #subscribe (channels: string[]): Promise<void> {
    const calls: Promise<void>[] = []
    // In a cluster one call takes channels of one slot.
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
