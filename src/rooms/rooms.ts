import { createHash } from 'node:crypto'
import type { Broker, HistoryPage, Idempotency, Occupancy, Published } from '../broker/broker.ts'
import { RoomcastError } from '../errors.ts'
import type { Connection } from '../hub/connection.ts'
import type { Hub } from '../hub/hub.ts'
import type { Membership, Room } from '../hub/room.ts'
import type { Presence } from '../presence/presence.ts'
import type { Position } from '../protocol/envelope.ts'
import { type Content, type EncodedContent, encodeContent } from '../protocol/message.ts'
import { ALL_ROOM, isAutomatic, isRoomName, isUser, ROOM_RULE, roomLabel, USER_ALIAS, userRoom } from '../protocol/names.ts'
import { Announcements } from './announcements.ts'
import { Continuity } from './continuity.ts'
import { ACTIONS } from './grants.ts'
import { HistoryReads } from './history-reads.ts'
import { type Identity, SERVER } from './identity.ts'
import type { RoomPolicies } from './policies.ts'
import { type Missed, PAGE_MESSAGES, Recovery } from './recovery.ts'

/** Rooms on a page of the list, and at the most. */
const PAGE_ROOMS = 100
const MAX_PAGE_ROOMS = 1_000
/** What may wait for its turn on this node before publishes are refused, bytes. */
const MAX_BACKLOG_BYTES = 64 * 1024 * 1024
/** Every connection is in these by itself; they do not count towards its limit. */
const AUTOMATIC_ROOMS = 2

export interface RoomsOptions {
  hub: Hub
  broker: Broker
  presence: Presence
  policies: RoomPolicies
  /** Rooms one connection may join; 0 is no limit. */
  maxRoomsPerConnection: number
  /** Bytes of messages on a history page. */
  pageBytes: number
  /** Told what went wrong where nobody waits for an answer. */
  onError: (error: unknown) => void
}

export interface PublishOptions {
  /** Makes a retry safe for five minutes: the same key, caller and room is one message. */
  key?: string | undefined
  /** The origin whose connections do not get it. */
  exclude?: string | undefined
  /** The connection it came from: it has to be a member. */
  connection?: Connection | undefined
}

/** A room as its new member finds it. */
export interface Joined {
  room: string
  /** The position up to which nothing follows; absent in rooms without history. */
  position: Position | undefined
  /** Connections in the room, this one too. */
  audience: number
  /** With `since`: whether all that was missed is known, and how many messages follow the answer. */
  recovered?: boolean
  missed?: number
}

export interface JoinOptions {
  /** What the connection has had already: it gets what came after, or is told that this is not known any more. */
  since?: Position | undefined
}

/** A connection about to become a member. */
interface Newcomer {
  connection: Connection
  room: Room
  actions: number
  /** Connections in the room elsewhere. */
  audience: number
  /** With `since`: what there is to be sent behind the answer, as of when it is asked. */
  missed: (() => Missed) | undefined
  answer: (joined: Joined) => void
}

/** What REST and frames ask of a history. */
export interface HistoryOptions {
  after?: number | undefined
  before?: number | undefined
  epoch?: string | undefined
  limit?: number | undefined
  /** The connection that asks: its automatic rooms are open to it. */
  connection?: Connection | undefined
}

/**
 * What can be done with rooms: the one place that both doors, REST and sockets, go through. Grants decide here.
 * Every method takes who calls first; `SERVER` is the application itself. All throw `RoomcastError`.
 */
export class Rooms {
  /** Who the application itself is: may do everything, and is `from: "server"`. */
  readonly server: Identity = SERVER
  /** Set when the node goes down: its members are not announced as gone, for they will be back elsewhere. */
  silent = false
  /** What becomes of envelopes on their way to the members. */
  readonly continuity: Continuity
  readonly #hub: Hub
  readonly #broker: Broker
  readonly #presence: Presence
  readonly #policies: RoomPolicies
  readonly #announcements: Announcements
  readonly #reads: HistoryReads
  readonly #recovery: Recovery
  readonly #maxRooms: number
  readonly #pageBytes: number
  readonly #onError: (error: unknown) => void

  constructor (options: RoomsOptions) {
    this.#hub = options.hub
    this.#broker = options.broker
    this.#presence = options.presence
    this.#policies = options.policies
    this.#announcements = new Announcements(options.broker, options.onError)
    this.#maxRooms = options.maxRoomsPerConnection > 0 ? options.maxRoomsPerConnection + AUTOMATIC_ROOMS : Infinity
    this.#pageBytes = options.pageBytes
    this.#onError = options.onError
    this.#reads = new HistoryReads(options.broker)
    this.continuity = new Continuity({ ...options, reads: this.#reads, release: (room) => { this.#dropIfEmpty(room) } })
    this.#recovery = new Recovery({ reads: this.#reads, continuity: this.continuity, pageBytes: options.pageBytes })
    this.#presence.listen((room, user, members) => { this.#announcements.announce(room, 'left', user, members) })
    this.#broker.listen((envelope) => { this.continuity.receive(envelope) })
  }

  /**
   * Puts a message into a room. Calls of one caller keep their order, awaited or not.
   *
   * @param name a room, `@all`, `@user` (the caller's own) or `@user:<name>`
   */
  async publish (by: Identity, name: string, content: Content, options: PublishOptions = {}): Promise<Published> {
    const { key, exclude, connection } = options
    const room = resolve(by, name)
    const membership = connection?.memberships.get(room)
    const actions = membership?.actions ?? by.grants.actionsIn(room)
    if ((actions & ACTIONS.publish) === 0) throw forbidden('publish', name)
    if (connection !== undefined && membership === undefined) throw notJoined(name)
    if (connection !== undefined && this.#policies.of(room).publish === 'server') throw new RoomcastError('forbidden', `In ${name} nobody publishes over a connection`)
    if (this.#hub.backlog.bytes > MAX_BACKLOG_BYTES) throw new RoomcastError('overloaded', 'More is being published than can be delivered', 1_000)

    const encoded = encodeContent(by.user, content)
    return await this.#broker.publish({
      room,
      fields: encoded.fields,
      bytes: encoded.bytes,
      exclude,
      idempotency: key === undefined ? undefined : idempotency(by, key, encoded)
    })
  }

  /**
   * Makes a connection a member. `answer` is called in the room's order: behind everything that is not for the new
   * member, before everything that is. A connection that is a member already stays one, and the room counts as its latest.
   *
   * With `since`, all that was missed follows the answer, before anything newer; or nothing does, and the answer says so.
   * A connection that is a member already gets it again from there.
   */
  async join (connection: Connection, by: Identity, name: string, answer: (joined: Joined) => void, { since }: JoinOptions = {}): Promise<void> {
    const roomName = resolve(by, name)
    const automatic = isAutomatic(roomName)
    const actions = by.grants.actionsIn(roomName)
    if (automatic ? !isOwn(by, roomName) : (actions & ACTIONS.join) === 0) throw forbidden('join', name)
    if (!connection.memberships.has(roomName) && connection.memberships.size >= this.#maxRooms) {
      throw new RoomcastError('room_limit', `A connection may join ${this.#maxRooms - AUTOMATIC_ROOMS} rooms`)
    }
    const room = this.#enter(roomName)
    let forget: (() => void) | undefined
    try {
      if (room.opening !== undefined) await room.opening
      if (since !== undefined) {
        await connection.drained()
        forget = room.recall()
      }
      const elsewhere = automatic ? 0 : this.#broker.countElsewhere(roomName) // Nobody is told of the automatic ones.
      const [audience, missed] = since === undefined
        ? [typeof elsewhere === 'number' ? elsewhere : await elsewhere, undefined]
        : await Promise.all([elsewhere, this.#recovery.read(room, connection, since)])
      const newcomer: Newcomer = { connection, room, actions, audience, missed, answer }
      if (room.waiting) await this.#admitInTurn(newcomer)
      else this.#admit(newcomer)
    } finally {
      forget?.()
      room.joining--
      this.#dropIfEmpty(room)
    }
  }

  /** Ends a membership; `answer` is called in the room's order, and nothing of the room follows it. */
  async leave (connection: Connection, by: Identity, name: string, answer: (room: string) => void): Promise<void> {
    const membership = connection.memberships.get(resolve(by, name))
    if (membership === undefined) throw notJoined(name)
    if (isAutomatic(membership.room.name)) throw new RoomcastError('forbidden', `${name} cannot be left`)
    await new Promise<void>((resolve) => {
      membership.room.run(() => {
        resolve()
        if (connection.ended) return
        this.#dismiss(membership)
        answer(membership.room.label)
      })
    })
  }

  /** Ends all memberships of a connection that has ended. */
  disconnect (connection: Connection): void {
    for (const membership of [...connection.memberships.values()]) this.#dismiss(membership)
  }

  /** The messages a room remembers; see `HistoryQuery` for what the offsets mean. */
  async history (by: Identity, name: string, options: HistoryOptions = {}): Promise<{ room: string, page: HistoryPage }> {
    const { connection, limit, ...query } = options
    const room = resolve(by, name)
    const open = isAutomatic(room) && connection?.memberships.has(room) === true
    if (!open && !by.grants.allow('history', room)) throw forbidden('history', name)
    const page = await this.#reads.read(room, { ...query, limit: Math.min(limit ?? PAGE_MESSAGES, PAGE_MESSAGES), maxBytes: this.#pageBytes })
    return { room: roomLabel(room), page }
  }

  /** Forgets a room's messages and keeps its position. */
  async forget (by: Identity, name: string): Promise<void> {
    const room = resolve(by, name)
    if (!by.grants.allow('manage', room)) throw forbidden('manage', name)
    await this.#broker.forget(room)
  }

  /** How a room stands: its position, and the connections in it over all nodes. Open to whoever may do anything there. */
  async describe (by: Identity, name: string): Promise<Joined> {
    const room = resolve(by, name)
    if (by.grants.actionsIn(room) === 0) throw new RoomcastError('forbidden', `Nothing is granted in ${name}`)
    const [position, elsewhere] = await Promise.all([this.#broker.position(room), this.#broker.countElsewhere(room)])
    return { room: name, position, audience: (this.#hub.room(room)?.size ?? 0) + elsewhere }
  }

  /** The occupied rooms in which the caller may do anything, by name. */
  async list (by: Identity, query: { prefix?: string | undefined, cursor?: string | undefined, limit?: number | undefined } = {}): Promise<{ rooms: Occupancy[], next?: string | undefined }> {
    return await this.#broker.occupied({
      prefix: query.prefix ?? '',
      cursor: query.cursor ?? '',
      limit: Math.min(query.limit ?? PAGE_ROOMS, MAX_PAGE_ROOMS),
      filter: (room) => !isAutomatic(room) && by.grants.actionsIn(room) !== 0
    })
  }

  /** The room, subscribed or about to be. The caller counts as a join under way until it takes one from `joining`. */
  #enter (name: string): Room {
    const known = this.#hub.room(name)
    if (known !== undefined) {
      known.joining++
      return known
    }
    const room = this.#hub.open(name)
    room.joining++
    room.opening = this.#broker.subscribe(name).then((position) => {
      room.adopt(position)
      room.opening = undefined
    })
    return room
  }

  /** Admits a member behind everything that waits for its turn in the room. */
  async #admitInTurn (newcomer: Newcomer): Promise<void> {
    await new Promise<void>((resolve) => {
      newcomer.room.run(() => {
        resolve()
        this.#admit(newcomer)
      })
    })
  }

  #admit ({ connection, room, actions, audience, missed, answer }: Newcomer): void {
    if (connection.ended) return
    this.#add(connection, room, actions)
    const joined = { room: room.label, position: room.position, audience: room.size + audience }
    if (missed === undefined) {
      answer(joined)
      return
    }
    const { recovered, count, batches } = missed()
    answer({ ...joined, recovered, ...(recovered && { missed: count }) })
    for (const batch of batches) connection.write(batch)
  }

  #add (connection: Connection, room: Room, actions: number): void {
    const present = connection.memberships.get(room.name)
    if (present !== undefined) {
      connection.memberships.delete(room.name) // Moves it to the end: the latest joined.
      connection.memberships.set(room.name, present)
      return
    }
    room.add(connection, actions)
    this.#broker.setOccupancy(room.name, room.size)
    if (!this.#hasPresence(room.name)) return
    this.#presence.enter(room.name, connection.user)
      .then((members) => { this.#announcements.announce(room.name, 'joined', connection.user, members) })
      .catch(this.#onError)
  }

  #dismiss (membership: Membership): void {
    const { room, connection } = membership
    room.remove(membership)
    this.#broker.setOccupancy(room.name, room.size)
    this.#dropIfEmpty(room)
    if (!this.#hasPresence(room.name)) return
    if (this.silent) return // Another node announces those who are not back by then.
    this.#presence.leave(room.name, connection.user)
      .then((members) => { this.#announcements.announce(room.name, 'left', connection.user, members) })
      .catch(this.#onError)
  }

  #hasPresence (room: string): boolean {
    return !isAutomatic(room) && this.#policies.of(room).presence
  }

  #dropIfEmpty (room: Room): void {
    if (this.#hub.drop(room)) this.#broker.unsubscribe(room.name).catch(this.#onError)
  }
}

/** The real name of what a caller calls a room; throws `invalid_room`. */
function resolve (by: Identity, name: string): string {
  if (isRoomName(name) || name === ALL_ROOM) return name
  if (name === USER_ALIAS) return userRoom(by.user)
  if (name.startsWith(`${USER_ALIAS}:`) && isUser(name.slice(USER_ALIAS.length + 1))) return name
  throw new RoomcastError('invalid_room', ROOM_RULE)
}

function isOwn (by: Identity, room: string): boolean {
  return room === ALL_ROOM || room === userRoom(by.user)
}

// Whom it leaves out is no part of the fingerprint: a client that comes back and tries again with `echo: false` may
// have another origin by then.
function idempotency (by: Identity, key: string, content: EncodedContent): Idempotency {
  const hash = createHash('sha256').update(content.fields).update(content.bytes === undefined ? '' : '\nbinary\n')
  if (content.bytes !== undefined) hash.update(content.bytes)
  // Neither part can contain the separator.
  return { id: `${by.user}\n${key}`, fingerprint: hash.digest('base64') }
}

function forbidden (action: keyof typeof ACTIONS, room: string): RoomcastError {
  return new RoomcastError('forbidden', `${action} is not granted in ${room}`)
}

function notJoined (room: string): RoomcastError {
  return new RoomcastError('not_joined', `Not a member of ${room}`)
}
