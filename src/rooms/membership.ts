import { ACTIONS } from '../auth/grants.ts'
import type { Identity } from '../auth/identity.ts'
import type { Broker } from '../broker/broker.ts'
import { RoomcastError } from '../errors.ts'
import type { Connection } from '../hub/connection.ts'
import type { Hub } from '../hub/hub.ts'
import type { Room } from '../hub/room.ts'
import type { Membership } from '../hub/members.ts'
import type { Presence } from '../presence/presence.ts'
import { AUTOMATIC_ROOMS, isAutomatic, isRoomName, ROOM_RULE } from '../protocol/names.ts'
import type { Position } from '../protocol/position.ts'
import type { Joined, OnJoined } from './joined.ts'
import { Notices } from './notices.ts'
import type { RoomPolicies } from './policies.ts'
import { forbidden, notJoined } from './refusals.ts'
import type { Resume, Resumes } from './resume.ts'
import { isOwnRoom, resolveName } from './room-name.ts'

/** The parts that memberships are made with. */
export interface MembershipsOptions {
  hub: Hub
  broker: Broker
  presence: Presence
  policies: RoomPolicies
  resumes: Resumes
  /** Rooms one connection may join; 0 is no limit. */
  maxRoomsPerConnection: number
  /** Receives errors of work whose caller does not wait for it. */
  onError: (error: unknown) => void
}

/** Options of a join. */
export interface JoinOptions {
  /** The position up to which the client has the messages of the room. */
  since?: Position | undefined
}

/** A connection about to become a member. */
interface Candidate {
  connection: Connection
  room: Room
  actions: number
  /** Connections in the room on other instances. */
  elsewhere: number
  resume: Resume | undefined
  answer: OnJoined
}

/** The memberships of this instance's connections: they begin and end here and nowhere else. Methods throw `RoomcastError`. */
export class Memberships {
  readonly #options: MembershipsOptions
  readonly #notices: Notices
  readonly #maxRooms: number
  #announcesLeaves = true

  constructor (options: MembershipsOptions) {
    const { broker, presence, maxRoomsPerConnection, onError } = options
    this.#options = options
    this.#notices = new Notices(broker, onError)
    this.#maxRooms = maxRoomsPerConnection > 0 ? maxRoomsPerConnection + AUTOMATIC_ROOMS.length : Infinity
    options.hub.whenDropped((room) => { broker.unsubscribe(room.name).catch(onError) })
    presence.listen((room, user, members) => { this.#notices.send(room, 'left', user, members) })
  }

  /** Checks whether a connection of the caller may join rooms; `join` does the same for each. Rooms of any name, no aliases. */
  checkJoins ({ grants }: Identity, rooms: string[]): void {
    if (!rooms.every(isRoomName)) throw new RoomcastError('invalid_room', ROOM_RULE)
    const refused = rooms.find((room) => !grants.allow('join', room))
    if (refused !== undefined) throw forbidden('join', refused)
    if (rooms.length > this.#maxRooms - AUTOMATIC_ROOMS.length) throw this.#roomLimit()
  }

  /**
   * Makes a connection a member. A connection that is a member stays one, and the room becomes its most recently joined room.
   *
   * With `since`, the missed messages follow the answer, before newer ones; or none follow, and the answer has `recovered: false`.
   */
  async join (connection: Connection, by: Identity, name: string, answer: OnJoined, { since }: JoinOptions = {}): Promise<void> {
    const { broker, resumes } = this.#options
    const roomName = resolveName(by, name)
    const automatic = isAutomatic(roomName)
    const actions = by.grants.actionsIn(roomName)
    if (automatic ? !isOwnRoom(by, roomName) : (actions & ACTIONS.join) === 0) throw forbidden('join', name)
    if (!connection.memberships.has(roomName) && connection.memberships.size >= this.#maxRooms) {
      throw this.#roomLimit()
    }
    const { room, release } = this.#open(roomName)
    let resume: Resume | undefined
    try {
      if (room.opening !== undefined) await room.opening
      if (since !== undefined) {
        await connection.drained()
        resume = resumes.begin(room, connection, since)
      }
      const count = automatic ? 0 : broker.countElsewhere(roomName) // Automatic rooms count this instance alone.
      // A first join awaits no known value: promises would cost noticeable time when all clients reconnect at once.
      const [elsewhere] = resume !== undefined
        ? await Promise.all([count, resume.read()])
        : [typeof count === 'number' ? count : await count]
      const candidate: Candidate = { connection, room, actions, elsewhere, resume, answer }
      while (!(room.waiting ? await this.#admitInTurn(candidate) : this.#admit(candidate))) await resume?.read()
    } finally {
      resume?.end()
      release()
    }
  }

  /** Ends a membership; `answer` is called in the room's order, and no message of the room follows it. */
  async leave (connection: Connection, by: Identity, name: string, answer: (room: string) => void): Promise<void> {
    const membership = connection.memberships.get(resolveName(by, name))
    if (membership === undefined) throw notJoined(name)
    const { room } = membership
    if (isAutomatic(room.name)) throw new RoomcastError('forbidden', `${name} cannot be left`)
    await new Promise<void>((resolve) => {
      room.run(() => {
        resolve()
        if (connection.ended) return
        this.#remove(membership)
        answer(room.label)
      })
    })
  }

  /** Ends all memberships of a connection that has ended. */
  disconnect (connection: Connection): void {
    for (const membership of [...connection.memberships.values()]) this.#remove(membership)
  }

  /** Ends the notices of leaves, for a graceful shutdown: members reconnect elsewhere, or another instance sends the notice. */
  stopAnnouncing (): void {
    this.#announcesLeaves = false
  }

  #roomLimit (): RoomcastError {
    return new RoomcastError('room_limit', `A connection may join ${this.#maxRooms - AUTOMATIC_ROOMS.length} rooms`)
  }

  /** The room, subscribed or being subscribed, and held until it is released. */
  #open (name: string): { room: Room, release: () => void } {
    const { hub, broker } = this.#options
    const known = hub.room(name)
    if (known !== undefined) return { room: known, release: known.hold() }
    const room = hub.open(name)
    const release = room.hold()
    room.open(broker.subscribe(name))
    return { room, release }
  }

  /** Admits a member behind everything that waits for its turn in the room; returns false if its resume has to read more. */
  async #admitInTurn (candidate: Candidate): Promise<boolean> {
    return await new Promise<boolean>((resolve) => {
      candidate.room.run(() => { resolve(this.#admit(candidate)) })
    })
  }

  #admit ({ connection, room, actions, elsewhere, resume, answer }: Candidate): boolean {
    if (connection.ended) return true
    const missed = resume?.result()
    if (resume !== undefined && missed === undefined) return false
    this.#add(connection, room, actions)
    const joined: Joined = { room: room.label, position: room.position, audience: room.size + elsewhere }
    if (missed === undefined) {
      answer(joined)
      return true
    }
    const { recovered, count, batches } = missed
    answer({ ...joined, recovered, ...(recovered && { missed: count }) })
    for (const batch of batches) connection.write(batch)
    if (recovered && joined.position !== undefined) connection.skipTo(room.label, joined.position)
    return true
  }

  #add (connection: Connection, room: Room, actions: number): void {
    const present = connection.memberships.get(room.name)
    if (present !== undefined) {
      connection.memberships.delete(room.name) // Moves it to the end: the most recently joined.
      connection.memberships.set(room.name, present)
      return
    }
    const { broker, presence, onError } = this.#options
    room.add(connection, actions)
    broker.setOccupancy(room.name, room.size)
    if (!this.#hasPresence(room.name)) return
    presence.enter(room.name, connection.user)
      .then((members) => { this.#notices.send(room.name, 'joined', connection.user, members) })
      .catch(onError)
  }

  #remove (membership: Membership): void {
    const { broker, presence, onError } = this.#options
    const { room, connection } = membership
    const release = room.hold() // The occupancy is written before an empty room is unsubscribed.
    room.remove(membership)
    broker.setOccupancy(room.name, room.size)
    release()
    if (!this.#hasPresence(room.name) || !this.#announcesLeaves) return
    presence.leave(room.name, connection.user)
      .then((members) => { this.#notices.send(room.name, 'left', connection.user, members) })
      .catch(onError)
  }

  #hasPresence (room: string): boolean {
    return !isAutomatic(room) && this.#options.policies.of(room).presence
  }
}
