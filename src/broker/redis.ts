import { RoomcastError } from '../errors.ts'
import type { Envelope, NoticeEnvelope } from '../protocol/envelope.ts'
import type { Position } from '../protocol/position.ts'
import type { RedisConnection } from '../redis/connection.ts'
import type { RedisKeys } from '../redis/keys.ts'
import { type Argument, COMMAND_TIMEOUT_MS } from '../redis/request.ts'
import type { Script } from '../redis/script.ts'
import type { RedisServers } from '../redis/servers.ts'
import {
  type Broker, type BrokerCounts, FRESH_POSITION_MS, type HistoryOf, type HistoryPage, type HistoryQuery, IDEMPOTENCY_MS, newEpoch,
  type Occupancy, type OccupancyQuery, positionLifetime, type Publication, type Published
} from './broker.ts'
import { decodeEnvelope, encodeBody, encodeNotice } from './redis-envelope.ts'
import { available, within } from './redis-failures.ts'
import { RedisOccupancy } from './redis-occupancy.ts'
import { readHistory, readPosition, readPublishReply } from './redis-replies.ts'
import { FORGET, HISTORY, POSITION, PUBLISH, PUBLISH_UNKEPT } from './redis-scripts.ts'
import { RedisSubscriptions } from './redis-subscriptions.ts'

/** Time for which a publish without a key is remembered, ms: the time in which it may be sent again, and a margin. */
const RESEND_MS = 5 * COMMAND_TIMEOUT_MS
/** Time for which the position of a room with members is kept, ms. The sweep renews it far more often. */
const OCCUPIED_POSITION_MS = 60 * 60_000

export interface RedisBrokerOptions {
  redis: RedisConnection
  historyOf: HistoryOf
  /** Receives errors of the listener. */
  onError: (message: string, error: unknown) => void
}

/** The broker of several instances. Order, history and occupancy are in Redis, and each publish is one script there. */
export class RedisBroker implements Broker {
  readonly #options: RedisBrokerOptions
  readonly #servers: RedisServers
  readonly #keys: RedisKeys
  readonly #subscriptions: RedisSubscriptions
  readonly #occupancy: RedisOccupancy
  /** Names of publishes without a key start with this. */
  readonly #publisher: string
  #publishes = 0
  #foreign = 0
  #listener: (envelope: Envelope) => void = () => {}

  constructor (options: RedisBrokerOptions) {
    const { servers, keys, instances } = options.redis
    this.#options = options
    this.#servers = servers
    this.#keys = keys
    this.#publisher = `~${instances.name}`
    this.#subscriptions = new RedisSubscriptions({
      servers,
      readPosition: (room) => this.#position(room, OCCUPIED_POSITION_MS),
      deliver: (envelope) => { this.#deliver(envelope) }
    })
    this.#occupancy = new RedisOccupancy(options.redis)
    servers.listen({
      onMessage: (channel, message) => { this.#receive(channel, message) },
      onInterrupted: (channels) => { void this.#subscriptions.compare(channels) }
    })
    instances.add(this.#occupancy)
    instances.add({ rewrite: () => { void this.#subscriptions.compare() }, retry: () => {}, clear: async () => {} })
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
    const name = remembered + (idempotency?.id ?? `${this.#publisher}${(this.#publishes++).toString(36)}`)
    const body = encodeBody(publication)
    const fingerprint = idempotency?.fingerprint ?? '-'
    const rememberMs = idempotency === undefined ? RESEND_MS : idempotency.refusal === undefined ? IDEMPOTENCY_MS : 0
    const policy = this.#options.historyOf(room)
    const { publishCommand } = this.#servers
    const reply = readPublishReply(await (policy === undefined
      ? this.#runScript(PUBLISH_UNKEPT, [name, occupancy], [body, channel, publishCommand, fingerprint, rememberMs])
      : this.#runScript(PUBLISH, [meta, stream, name, occupancy], [
        newEpoch(), body, channel, publishCommand, fingerprint, rememberMs, policy.size, policy.ttlSeconds * 1_000, positionLifetime(policy)
      ])
    ))
    if (reply === 'conflict') throw new RoomcastError('idempotency_conflict')
    if (reply === 'new') throw idempotency?.refusal ?? new RoomcastError('internal')
    const { position, time, audience } = reply
    return {
      position: policy === undefined ? undefined : position,
      time,
      audience,
      replayed: reply.remembered && idempotency !== undefined // Without a key, the requester sent it twice: no replay for the caller.
    }
  }

  async notify (notice: NoticeEnvelope): Promise<void> {
    const channel = this.#keys.channel(notice.room)
    await available(this.#servers.command(channel, this.#servers.publishCommand, channel, encodeNotice(notice)))
  }

  async subscribe (room: string): Promise<Position | undefined> {
    const channel = this.#keys.channel(room)
    const subscription = this.#subscriptions.add(room, channel)
    const confirmed = this.#servers.subscribe(channel)
    const position = await within(COMMAND_TIMEOUT_MS, confirmed.then(async () => await this.#position(room, OCCUPIED_POSITION_MS)))
    subscription.last ??= position
    // If the connection was lost after the subscription was confirmed, a newer position may have been delivered meanwhile.
    const { last } = subscription
    return last?.epoch === position?.epoch && (last?.offset ?? 0) > (position?.offset ?? 0) ? last : position
  }

  async caughtUp (room: string): Promise<void> {
    await this.#servers.caughtUp(this.#keys.channel(room))
  }

  async unsubscribe (room: string): Promise<void> {
    this.#subscriptions.remove(this.#keys.channel(room))
  }

  async position (room: string, seen?: Position): Promise<Position | undefined> {
    return await this.#position(room, FRESH_POSITION_MS, seen)
  }

  async history (room: string, query: HistoryQuery): Promise<HistoryPage> {
    const policy = this.#options.historyOf(room)
    if (policy === undefined) return { recovered: false, messages: [] }
    const { meta, stream } = this.#keys.room(room)
    const { after, before, epoch, limit, maxBytes } = query
    const args = [newEpoch(), FRESH_POSITION_MS, policy.ttlSeconds * 1_000, epoch ?? '', after ?? '', before ?? '', limit, maxBytes]
    return readHistory(await this.#runScript(HISTORY, [meta, stream], args, true), query)
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

  async occupied (query: OccupancyQuery): Promise<{ rooms: Occupancy[], next?: string | undefined }> {
    return await available(this.#occupancy.occupied(query))
  }

  async close (): Promise<void> {
    this.#subscriptions.close()
    await this.#occupancy.close()
  }

  #receive (channel: Buffer, message: Buffer): void {
    const subscription = this.#subscriptions.get(channel.toString('latin1'))
    if (subscription === undefined) return
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
    return readPosition(await this.#runScript(POSITION, [meta, stream], [newEpoch(), keepMs, seen?.epoch ?? '', seen?.offset ?? '']))
  }

  /** Calls the listener. An exception in a handler of a socket would end the process. */
  #deliver (envelope: Envelope): void {
    try {
      this.#listener(envelope)
    } catch (error) {
      this.#options.onError('an envelope could not be delivered', error)
    }
  }

  #runScript (script: Script, keys: [string, ...string[]], args: Argument[], binary = false): Promise<unknown> {
    return available(this.#servers.runScript(script, keys, args, binary), script === PUBLISH || script === PUBLISH_UNKEPT)
  }
}
