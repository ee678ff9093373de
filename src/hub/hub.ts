import type { Connection } from './connection.ts'
import { type Backlog, Room } from './room.ts'

/**
 * Deliveries that one turn of the event loop makes, about 8 ms: heartbeats, new connections and publishes are
 * served between turns, and what is delivered meanwhile joins the next batch.
 */
const TURN_BUDGET = 2048

/**
 * This node's connections and the rooms they are in. Envelopes go to their rooms; frames leave at the end of
 * the event-loop turn, so that messages of one turn leave together. It does no I/O of its own.
 */
export class Hub {
  /** Every connection until its socket is closed. */
  readonly connections = new Set<Connection>()
  /** Counts the heartbeat's sweeps. */
  tick = 0
  /** What was delivered to this node and waits for its turn. */
  readonly backlog: Backlog = { bytes: 0 }
  readonly #rooms = new Map<string, Room>()
  /** Open connections by user. */
  readonly #users = new Map<string, number>()
  readonly #schedule = this.#enqueue.bind(this)
  readonly #turn = this.#takeTurn.bind(this)
  /** Rooms with something in their queue, in the order of their turns. */
  #due: Room[] = []
  readonly #isDue = new Set<Room>()
  /** Who waits for the last connection to go. */
  readonly #waiting: (() => void)[] = []
  #scheduled = false
  #slot = 0

  add (connection: Connection): void {
    connection.heard = this.tick
    connection.slot = this.#slot++
    this.connections.add(connection)
    this.#users.set(connection.user, this.connectionsOf(connection.user) + 1)
  }

  /** Forgets a connection whose socket is closed. */
  remove (connection: Connection): void {
    if (!this.connections.delete(connection)) return
    const rest = this.connectionsOf(connection.user) - 1
    if (rest === 0) this.#users.delete(connection.user)
    else this.#users.set(connection.user, rest)
    if (this.connections.size === 0) for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Resolves when no connection is left. */
  async emptied (): Promise<void> {
    if (this.connections.size > 0) await new Promise<void>((resolve) => { this.#waiting.push(resolve) })
  }

  /** How many connections a user has on this node. */
  connectionsOf (user: string): number {
    return this.#users.get(user) ?? 0
  }

  /** A room that has members, or joins under way. */
  room (name: string): Room | undefined {
    return this.#rooms.get(name)
  }

  /** The room's own, made if need be. */
  open (name: string): Room {
    const room = new Room(name, this.#schedule, this.backlog)
    this.#rooms.set(name, room)
    return room
  }

  /** Drops a room without members; says whether it was. */
  drop (room: Room): boolean {
    if (room.size > 0 || room.joining > 0 || this.#rooms.get(room.name) !== room) return false
    return this.#rooms.delete(room.name)
  }

  get roomCount (): number {
    return this.#rooms.size
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
    for (; at < due.length && budget > 0; at++) {
      const room = due[at] as Room
      budget -= room.advance(budget)
      this.#isDue.delete(room)
      if (room.waiting) this.#enqueue(room)
    }
    // Who had no turn comes before who had one.
    if (at < due.length) {
      this.#due = due.slice(at).concat(this.#due)
      if (!this.#scheduled) {
        this.#scheduled = true
        setImmediate(this.#turn)
      }
    }
  }
}
