import { createHash } from 'node:crypto'
import { RoomcastError } from '../errors.ts'
import type { Envelope, NoticeEnvelope, Position } from '../protocol/envelope.ts'
import { RedisKeys } from '../redis/keys.ts'
import { RedisInstances } from '../redis/instances.ts'
import { type Argument, COMMAND_TIMEOUT_MS, RequestFailed } from '../redis/request.ts'
import type { Script } from '../redis/script.ts'
import { RedisServers } from '../redis/servers.ts'
import type { RedisSettings } from '../redis/settings.ts'
import {
  type Broker, type BrokerCounts, FRESH_POSITION_MS, type HistoryOf, type HistoryPage, type HistoryQuery, IDEMPOTENCY_MS, newEpoch, type Occupancy,
  type OccupancyQuery, positionLifetime, type Publication, type Published
} from './broker.ts'
import { decodeEnvelope, decodeKept, encodeBody, encodeNotice } from './redis-envelope.ts'
import { RedisOccupancy } from './redis-occupancy.ts'
import { FORGET, HISTORY, POSITION, PUBLISH, PUBLISH_UNKEPT } from './redis-scripts.ts'

/** A publish without a key of its own is remembered for as long as it may be sent again, and a margin, ms. */
const RESEND_MS = 5 * COMMAND_TIMEOUT_MS
/** A channel is given up this long after the room's last member has gone, ms: many come back. */
const LINGER_MS = 5_000
/** The position of a room with members is kept this long without being renewed, ms; the sweep comes by far more often. */
const OCCUPIED_POSITION_MS = 60 * 60_000
/** Between looks at what lingers, and at some of the quiet rooms, ms. */
const SWEEP_MS = 1_000
/** A quiet room's position is compared this often, ms, or as often as the rate allows. */
const COMPARE_MS = 30_000
const COMPARED_PER_SWEEP = 500
/** A top that is ahead of what came gets this long to arrive, ms. */
const ARRIVAL_MS = 1_000

export interface RedisBrokerOptions {
  settings: RedisSettings
  prefix: string
  historyOf: HistoryOf
  onEvent: (level: 'info' | 'warn' | 'error', message: string, error?: unknown) => void
}

/** A room whose envelopes this node gets. */
interface Subscription {
  readonly room: string
  readonly channel: string
  /** Since when nobody wants it any more, ms since 1970; undefined while somebody does. */
  unwantedAt: number | undefined
  /** Of the latest message that came; undefined in rooms without history. */
  last: Position | undefined
  /** When that was, or when the position was compared, ms since 1970. */
  checkedAt: number
}

/** The broker of many nodes: order, history and occupancy are in Redis, and every publish is one script there. */
export class RedisBroker implements Broker {
  readonly #options: RedisBrokerOptions
  readonly #keys: RedisKeys
  readonly #subscriptions = new Map<string, Subscription>()
  readonly #lingering = new Set<Subscription>()
  readonly #sweeper: NodeJS.Timeout
  #uncompared: Iterator<Subscription> | undefined
  #publishes = 0
  #foreign = 0
  #listener: (envelope: Envelope) => void = () => {}
  // Set by `connect`, the only way to make one.
  #servers!: RedisServers
  #instances!: RedisInstances
  #occupancy!: RedisOccupancy

  private constructor (options: RedisBrokerOptions) {
    this.#options = options
    this.#keys = new RedisKeys(options.prefix)
    this.#sweeper = setInterval(() => { this.#sweep() }, SWEEP_MS)
    this.#sweeper.unref()
  }

  /** Connects; rejects, with a message for the operator, where that fails at the first attempt. */
  static async connect (options: RedisBrokerOptions): Promise<RedisBroker> {
    const broker = new RedisBroker(options)
    try {
      await broker.#connect()
    } catch (error) {
      await broker.close()
      throw error
    }
    return broker
  }

  /** What is shared with others that keep something in the same Redis. */
  get redis (): { servers: RedisServers, keys: RedisKeys, instances: RedisInstances } {
    return { servers: this.#servers, keys: this.#keys, instances: this.#instances }
  }

  get reachable (): boolean {
    return this.#servers.reachable
  }

  get counts (): BrokerCounts {
    return { foreign: this.#foreign, probeFailures: this.#servers.probeFailures }
  }

  listen (listener: (envelope: Envelope) => void): void {
    this.#listener = listener
  }

  async publish (publication: Publication): Promise<Published> {
    const { room, idempotency } = publication
    const { meta, stream, occupancy, remembered, channel } = this.#keys.room(room)
    const name = remembered + (idempotency === undefined
      ? `~${this.#instances.name}${(this.#publishes++).toString(36)}`
      : createHash('sha256').update(idempotency.id).digest('base64url').slice(0, 22))
    const body = encodeBody(publication)
    const fingerprint = idempotency?.fingerprint ?? '-'
    const rememberMs = idempotency === undefined ? RESEND_MS : IDEMPOTENCY_MS
    const policy = this.#options.historyOf(room)
    const answer = await (policy === undefined
      ? this.#runScript(PUBLISH_UNKEPT, [name, occupancy], [body, channel, this.#servers.publishCommand, fingerprint, rememberMs])
      : this.#runScript(PUBLISH, [meta, stream, name, occupancy], [newEpoch(), body, channel, this.#servers.publishCommand, fingerprint, rememberMs, policy.size, policy.ttlSeconds * 1_000, positionLifetime(policy)])
    ) as string
    if (answer === 'C') throw new RoomcastError('idempotency_conflict')
    const [kind, epoch = '', offset, time, audience] = answer.split(' ')
    return {
      position: policy === undefined ? undefined : { epoch, offset: Number(offset) },
      time: Number(time),
      audience: Number(audience),
      replayed: kind === 'R' && idempotency !== undefined // Without a key it was sent again by us, and nobody has to know.
    }
  }

  async notify (notice: NoticeEnvelope): Promise<void> {
    const channel = this.#keys.channel(notice.room)
    await available(this.#servers.command(channel, this.#servers.publishCommand, channel, encodeNotice(notice)))
  }

  async subscribe (room: string): Promise<Position | undefined> {
    const channel = this.#keys.channel(room)
    let subscription = this.#subscriptions.get(channel)
    if (subscription === undefined) {
      subscription = { room, channel, unwantedAt: undefined, last: undefined, checkedAt: Date.now() }
      this.#subscriptions.set(channel, subscription)
    }
    subscription.unwantedAt = undefined
    this.#lingering.delete(subscription)
    const position = await within(COMMAND_TIMEOUT_MS, this.#servers.subscribe(channel).then(async () => await this.#position(room, OCCUPIED_POSITION_MS)))
    subscription.last ??= position
    // The connection was lost after the subscription had been confirmed, and since then the position was read again.
    const { last } = subscription
    return last?.epoch === position?.epoch && (last?.offset ?? 0) > (position?.offset ?? 0) ? last : position
  }

  async unsubscribe (room: string): Promise<void> {
    const subscription = this.#subscriptions.get(this.#keys.channel(room))
    if (subscription === undefined) return
    subscription.unwantedAt = Date.now()
    this.#lingering.add(subscription)
  }

  async position (room: string, seen?: Position): Promise<Position | undefined> {
    return await this.#position(room, FRESH_POSITION_MS, seen)
  }

  async history (room: string, { after, before, epoch, limit, maxBytes }: HistoryQuery): Promise<HistoryPage> {
    const policy = this.#options.historyOf(room)
    if (policy === undefined) return { recovered: false, messages: [] }
    const { meta, stream } = this.#keys.room(room)
    const args = [newEpoch(), FRESH_POSITION_MS, policy.ttlSeconds * 1_000, epoch ?? '', after ?? '', before ?? '', limit, maxBytes]
    const reply = await this.#runScript(HISTORY, [meta, stream], args, true) as (Buffer | number)[]
    const position = { epoch: String(reply[0]), offset: Number(reply[1]) }
    if (epoch !== undefined && epoch !== position.epoch) return { position, recovered: false, messages: [] }
    const messages = []
    for (let i = 4; i < reply.length; i += 2) messages.push({ offset: Number(reply[i]), ...decodeKept(reply[i + 1] as Buffer) })
    const recovered = after === undefined || (after <= position.offset && (after === position.offset || Number(reply[2]) <= after + 1))
    const last = messages.at(-1)?.offset
    if (after === undefined) messages.reverse()
    return { position, recovered, messages, next: reply[3] === 1 ? last : undefined }
  }

  async forget (room: string): Promise<void> {
    const { stream } = this.#keys.room(room)
    await this.#runScript(FORGET, [stream], [])
  }

  setOccupancy (room: string, connections: number): void {
    this.#occupancy.set(room, connections)
  }

  async countElsewhere (room: string): Promise<number> {
    return await available(this.#occupancy.countElsewhere(room))
  }

  async occupied (query: OccupancyQuery): Promise<{ rooms: Occupancy[], next?: string }> {
    return await available(this.#occupancy.occupied(query))
  }

  async close (): Promise<void> {
    clearInterval(this.#sweeper)
    this.#instances?.close()
    await this.#occupancy?.close()
    this.#servers?.close()
  }

  async #connect (): Promise<void> {
    const { settings, onEvent } = this.#options
    this.#servers = await RedisServers.connect({ settings, onEvent })
    this.#servers.listen({
      onMessage: (channel, message) => { this.#receive(channel, message) },
      onInterrupted: (channels) => { void this.#compare(channels) }
    })
    this.#instances = new RedisInstances(this.#servers, this.#keys, (error) => { onEvent('warn', 'clearing up after a node that is gone failed', error as Error) })
    this.#occupancy = new RedisOccupancy(this.#servers, this.#keys, this.#instances)
    this.#instances.add(this.#occupancy)
    this.#instances.add({ rewrite: () => { void this.#compare([...this.#subscriptions.keys()]) }, retry: () => {}, clear: async () => {} })
    await this.#instances.start()
  }

  #receive (channel: Buffer, message: Buffer): void {
    const subscription = this.#subscriptions.get(channel.toString('latin1'))
    if (subscription === undefined || subscription.unwantedAt !== undefined) return
    let envelope
    try {
      envelope = decodeEnvelope(subscription.room, message)
    } catch {
      this.#foreign++
      return
    }
    if (envelope.kind === 'message' && envelope.position !== undefined) {
      subscription.last = envelope.position
      subscription.checkedAt = Date.now()
    }
    this.#deliver(envelope)
  }

  async #position (room: string, keepMs: number, seen?: Position): Promise<Position | undefined> {
    if (this.#options.historyOf(room) === undefined) return undefined
    const { meta, stream } = this.#keys.room(room)
    const answer = await this.#runScript(POSITION, [meta, stream], [newEpoch(), keepMs, seen?.epoch ?? '', seen?.offset ?? '']) as string
    const [epoch = '', offset] = answer.split(' ')
    return { epoch, offset: Number(offset) }
  }

  /** Tells the listener where rooms stand, after messages may have been lost on their way. */
  async #compare (channels: string[]): Promise<void> {
    for (let i = 0; i < channels.length; i += COMPARED_PER_SWEEP) {
      await Promise.all(channels.slice(i, i + COMPARED_PER_SWEEP).map(async (channel) => {
        const subscription = this.#subscriptions.get(channel)
        if (subscription === undefined || subscription.unwantedAt !== undefined) return
        if (this.#options.historyOf(subscription.room) === undefined) return
        await this.#tellPosition(subscription)
      }))
    }
  }

  async #tellPosition (subscription: Subscription): Promise<void> {
    const position = await this.#position(subscription.room, OCCUPIED_POSITION_MS).catch(() => undefined)
    // Where Redis is away, the next sweep asks again.
    subscription.checkedAt = position === undefined ? 0 : Date.now()
    if (position === undefined || subscription.unwantedAt !== undefined) return
    subscription.last = position
    this.#deliver({ kind: 'position', room: subscription.room, position })
  }

  /** What is thrown here would end the process. */
  #deliver (envelope: Envelope): void {
    try {
      this.#listener(envelope)
    } catch (error) {
      this.#options.onEvent('error', 'an envelope could not be delivered', error as Error)
    }
  }

  #sweep (): void {
    const now = Date.now()
    for (const subscription of this.#lingering) {
      if ((subscription.unwantedAt as number) + LINGER_MS > now) break
      this.#lingering.delete(subscription)
      this.#subscriptions.delete(subscription.channel)
      this.#servers.unsubscribe(subscription.channel)
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

  /** Compares a room that has been quiet; what is on its way gets time to arrive. */
  async #compareQuiet (subscription: Subscription): Promise<void> {
    subscription.checkedAt = Date.now()
    const { last } = subscription
    const position = await this.#position(subscription.room, OCCUPIED_POSITION_MS).catch(() => undefined)
    if (position === undefined || (position.epoch === last?.epoch && position.offset === last.offset)) return
    setTimeout(() => { void this.#tellPosition(subscription) }, ARRIVAL_MS).unref()
  }

  #runScript (script: Script, keys: [string, ...string[]], args: Argument[], binary = false): Promise<unknown> {
    return available(this.#servers.runScript(script, keys, args, binary), script === PUBLISH || script === PUBLISH_UNKEPT)
  }
}

/** Makes of a request that failed what the caller of the broker gets. */
async function available<T> (request: Promise<T>, publishes = false): Promise<T> {
  try {
    return await request
  } catch (error) {
    if (!(error instanceof RequestFailed)) throw error
    throw publishes && error.uncertain
      ? new RoomcastError('publish_unknown', 'It may have been published or not; try again with the same key')
      : unavailable()
  }
}

function unavailable (): RoomcastError {
  return new RoomcastError('unavailable', 'The rooms cannot be reached; try again', COMMAND_TIMEOUT_MS)
}

async function within<T> (ms: number, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  return await Promise.race([
    available(answer),
    new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => { reject(unavailable()) }, ms)
    })
  ]).finally(() => { clearTimeout(timer) })
}
