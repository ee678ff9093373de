import { randomUUID } from 'node:crypto'
import { events } from '../events/index.ts'
import { Backlog } from './backlog.ts'
import type { Connection } from './connection.ts'
import { Room, type RoomHost } from './room.ts'

/**
 * Deliveries in one turn of the event loop, about 8 ms: heartbeats, new connections and publishes are
 * served between turns, and messages that are delivered meanwhile join the next batch.
 */
const TURN_BUDGET = 2048

/**
 * This instance's connections and their rooms. Envelopes go to their rooms; frames leave at the end of
 * the event-loop turn, so that messages of one turn leave together. It does no I/O.
 */
export class Hub {
  /** Names this instance in events. */
  readonly instance = randomUUID()
  /** Every connection until its socket is closed. */
  readonly connections = new Set<Connection>()
  /** Counts the heartbeat's sweeps. */
  tick = 0
  readonly backlog = new Backlog()
  readonly #rooms = new Map<string, Room>()
  /** The connections of each user, the oldest first. */
  readonly #users = new Map<string, Set<Connection>>()
  readonly #host: RoomHost
  readonly #turn = this.#takeTurn.bind(this)
  /** Rooms with something in their queue, in the order of their turns. */
  #due: Room[] = []
  readonly #isDue = new Set<Room>()
  /** Called when the last connection is removed. */
  readonly #waiting: (() => void)[] = []
  #onDropped: (room: Room) => void = () => {}
  #scheduled = false
  #slot = 0

  constructor () {
    this.#host = {
      instance: this.instance,
      backlog: this.backlog,
      schedule: (room) => { this.#enqueue(room) },
      onIdle: (room) => { this.#drop(room) }
    }
  }

  /** Adds a connection that has just been opened. */
  add (connection: Connection): void {
    connection.heard = this.tick
    connection.slot = this.#slot++
    this.connections.add(connection)
    const ofUser = this.#users.get(connection.user)
    if (ofUser === undefined) this.#users.set(connection.user, new Set([connection]))
    else ofUser.add(connection)
    if (events.connectionOpened.wanted) {
      const { id, user, origin, transport } = connection
      const { instance, connections: { size } } = this
      events.connectionOpened.publish({ instance, connection: id, user, origin, transport, connections: size })
    }
  }

  /**
   * Forgets a connection whose socket is closed.
   *
   * @param code the close code that the client sent; undefined on event streams
   */
  remove (connection: Connection, code?: number): void {
    if (!this.connections.delete(connection)) return
    this.release(connection)
    if (events.connectionClosed.wanted) {
      const { id, user, closeReason: reason } = connection
      const { instance, connections: { size } } = this
      events.connectionClosed.publish({ instance, connection: id, user, reason, code, connections: size })
    }
    if (this.connections.size === 0) for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Resolves when no connection is left. */
  async emptied (): Promise<void> {
    if (this.connections.size > 0) await new Promise<void>((resolve) => { this.#waiting.push(resolve) })
  }

  /** Frees the place of a connection among those of its user, before its socket is closed. */
  release (connection: Connection): void {
    const ofUser = this.#users.get(connection.user)
    if (ofUser?.delete(connection) === true && ofUser.size === 0) this.#users.delete(connection.user)
  }

  /** The number of a user's connections on this instance, without those that were released. */
  connectionsOf (user: string): number {
    return this.#users.get(user)?.size ?? 0
  }

  /** The oldest of a user's connections that the client has opened under this origin. */
  oldestOf (user: string, origin: string): Connection | undefined {
    for (const connection of this.#users.get(user) ?? []) {
      // The origin of a client that named none is the id of its connection.
      if (connection.origin === origin && connection.id !== origin) return connection
    }
    return undefined
  }

  /** A room that has members or is held. */
  room (name: string): Room | undefined {
    return this.#rooms.get(name)
  }

  /** Makes a room. Hold it at once: a room without members and holds is dropped. */
  open (name: string): Room {
    const room = new Room(name, this.#host)
    this.#rooms.set(name, room)
    return room
  }

  /** Calls a listener for each room that is dropped, because it has neither members nor holds any more. */
  whenDropped (listener: (room: Room) => void): void {
    this.#onDropped = listener
  }

  /** The number of rooms that have members or are held. */
  get roomCount (): number {
    return this.#rooms.size
  }

  #drop (room: Room): void {
    if (this.#rooms.get(room.name) !== room) return
    this.#rooms.delete(room.name)
    this.#onDropped(room)
  }

  #enqueue (room: Room): void {
    if (this.#isDue.has(room)) return
    this.#isDue.add(room)
    this.#due.push(room)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#turn)
  }

  #takeTurn (): void {
    this.#scheduled = false
    const due = this.#due
    this.#due = []
    let budget = TURN_BUDGET
    let at = 0
    for (; budget > 0; at++) {
      const room = due[at]
      if (room === undefined) break
      budget -= room.advance(budget)
      this.#isDue.delete(room)
      if (room.waiting) this.#enqueue(room)
    }
    // Rooms without a turn come before rooms that had one.
    if (at < due.length) {
      this.#due = due.slice(at).concat(this.#due)
      if (!this.#scheduled) {
        this.#scheduled = true
        setImmediate(this.#turn)
      }
    }
  }
}
