import { ACTIONS } from '../auth/grants.ts'
import type { Identity } from '../auth/identity.ts'
import type { Broker, HistoryPage, Occupancy, Published } from '../broker/broker.ts'
import type { KeyLimit } from '../callers/key-limit.ts'
import { RoomcastError } from '../errors.ts'
import { events } from '../events/index.ts'
import type { Connection } from '../hub/connection.ts'
import type { Hub } from '../hub/hub.ts'
import { type Content, type EncodedContent, encodeContent } from '../protocol/message.ts'
import { isAutomatic, roomLabel } from '../protocol/names.ts'
import type { Position } from '../protocol/position.ts'
import { type HistoryReads, PAGE_MESSAGES } from './history-reads.ts'
import { idempotencyOf } from './idempotency.ts'
import type { RoomPolicies } from './policies.ts'
import { forbidden, notJoined } from './refusals.ts'
import { resolveName } from './room-name.ts'

/** Rooms on a page of the list: by default, and at most. */
const LIST_ROOMS = 100
const MAX_LIST_ROOMS = 1_000
/** Bytes that may wait for their turn on this instance before publishes are refused. */
const MAX_BACKLOG_BYTES = 64 * 1024 * 1024

/** Gives each caller its `Rooms`. */
export type RoomsFor = (caller: Identity) => Rooms

/** The parts that every caller's `Rooms` shares. */
export interface RoomsOptions {
  hub: Hub
  broker: Broker
  reads: HistoryReads
  policies: RoomPolicies
  keys: KeyLimit
}

/** Options of a publish. */
export interface PublishOptions {
  /** Makes a retry safe for five minutes: the same key of the same caller in the same room is one message. */
  key?: string | undefined
  /** The origin whose connections do not receive the message. */
  exclude?: string | undefined
  /** The publishing connection, which must be a member. */
  connection?: Connection | undefined
}

/** A room's position and the number of its connections. */
export interface RoomSummary {
  room: string
  /** Absent in rooms without history. */
  position: Position | undefined
  /** Connections in the room over all instances. */
  audience: number
}

/** Which part of a history to read; see `HistoryQuery` for the meaning of the offsets. */
export interface HistoryOptions {
  after?: number | undefined
  before?: number | undefined
  epoch?: string | undefined
  limit?: number | undefined
  /** The reading connection, which may read its automatic rooms. */
  connection?: Connection | undefined
}

/** A page of occupied rooms. */
export interface RoomList {
  rooms: Occupancy[]
  /** The `cursor` of the next page; absent on the last one. */
  next?: string | undefined
}

/** Which rooms to list. */
export interface ListOptions {
  prefix?: string | undefined
  /** The last name of the previous page. */
  cursor?: string | undefined
  limit?: number | undefined
}

/**
 * The rooms as one caller may use them. REST, frames and the application publish here and nowhere else; grants decide here.
 * The arguments are checked: by schemas for REST and frames, by `ApplicationRooms` for the application. All methods throw
 * `RoomcastError`.
 */
export class Rooms {
  readonly #options: RoomsOptions
  readonly #caller: Identity

  constructor (options: RoomsOptions, caller: Identity) {
    this.#options = options
    this.#caller = caller
  }

  /**
   * Publishes a message to a room. Publishes of one caller keep their order, awaited or not.
   *
   * @param name a room, `@all`, `@user` (the caller's own) or `@user:<name>`
   */
  async publish (name: string, content: Content, { key, exclude, connection }: PublishOptions = {}): Promise<Published> {
    const { hub, broker, policies, keys } = this.#options
    const caller = this.#caller
    const room = resolveName(caller, name)
    const membership = connection?.memberships.get(room)
    const actions = membership?.actions ?? caller.grants.actionsIn(room)
    if ((actions & ACTIONS.publish) === 0) throw forbidden('publish', name)
    if (connection !== undefined && membership === undefined) throw notJoined(name)
    if (connection !== undefined && policies.of(room).publish === 'server') {
      throw new RoomcastError('forbidden', `Clients cannot publish to ${name}; publish over REST`)
    }
    if (hub.backlog.bytes > MAX_BACKLOG_BYTES) throw new RoomcastError('overloaded', 'More is being published than can be delivered', 1_000)

    const encoded = encode(caller, content)
    const publication = { room, fields: encoded.fields, bytes: encoded.bytes, exclude }
    const published = await (key === undefined
      ? broker.publish(publication)
      : keys.count(caller.user, async (refusal) =>
        await broker.publish({ ...publication, idempotency: { ...idempotencyOf(caller, key, encoded), refusal } })))
    if (events.messagePublished.wanted) {
      const { position, time, replayed } = published
      const bytes = encoded.fields.length + (encoded.bytes?.length ?? 0)
      const publisher = { from: caller.user, connection: connection?.id }
      events.messagePublished.publish({ instance: hub.instance, room, ...publisher, position, time, replayed, bytes })
    }
    return published
  }

  /** Resolves when the messages that were published to a room before the call have arrived here, see `Broker.caughtUp`. */
  async caughtUp (name: string): Promise<void> {
    await this.#options.broker.caughtUp(resolveName(this.#caller, name))
  }

  /** Reads a page of a room's history. */
  async history (name: string, { connection, limit, ...query }: HistoryOptions = {}): Promise<{ room: string, page: HistoryPage }> {
    const { reads } = this.#options
    const room = resolveName(this.#caller, name)
    const isOpen = isAutomatic(room) && connection?.memberships.has(room) === true
    if (!isOpen && !this.#caller.grants.allow('history', room)) throw forbidden('history', name)
    const page = await reads.read(room, { ...query, limit: Math.min(limit ?? PAGE_MESSAGES, PAGE_MESSAGES), maxBytes: reads.pageBytes })
    return { room: roomLabel(room), page }
  }

  /** Deletes a room's history and keeps its position. */
  async forget (name: string): Promise<void> {
    const room = resolveName(this.#caller, name)
    if (!this.#caller.grants.allow('manage', room)) throw forbidden('manage', name)
    await this.#options.broker.forget(room)
  }

  /** Describes a room in which the caller has any grant. */
  async describe (name: string): Promise<RoomSummary> {
    const { hub, broker } = this.#options
    const room = resolveName(this.#caller, name)
    if (this.#caller.grants.actionsIn(room) === 0) throw new RoomcastError('forbidden', `Nothing is granted in ${name}`)
    const [position, elsewhere] = await Promise.all([broker.position(room), broker.countElsewhere(room)])
    return { room: name, position, audience: (hub.room(room)?.size ?? 0) + elsewhere }
  }

  /** Lists the occupied rooms in which the caller has any grant, by name. */
  async list ({ prefix = '', cursor = '', limit = LIST_ROOMS }: ListOptions = {}): Promise<RoomList> {
    const { grants } = this.#caller
    return await this.#options.broker.occupied({
      prefix,
      cursor,
      limit: Math.min(limit, MAX_LIST_ROOMS),
      filter: (room) => !isAutomatic(room) && grants.actionsIn(room) !== 0
    })
  }
}

/** What the application publishes may be a BigInt, or contain itself. */
function encode ({ user }: Identity, content: Content): EncodedContent {
  try {
    return encodeContent(user, content)
  } catch (error) {
    throw new RoomcastError('invalid_request', `"data" must be JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}
