import type { ClientFrame } from '../../src/protocol/frames.ts'
import { ALL_ROOM, isRoomName, ROOM_RULE, userRoom } from '../../src/protocol/names.ts'
import { Allowance } from './allowance.ts'
import type { Connection } from './connection.ts'
import type { FakeClock } from './fake-clock.ts'
import { type Content, History, type HistoryLimits } from './history.ts'
import { type Placed, Publishes } from './publishes.ts'
import { Refusal } from './refusal.ts'
import { Room } from './room.ts'

/** The settings of the service. */
export interface ServiceOptions {
  limits: HistoryLimits
  epoch: string
  /** Frames a second of one connection, and at once; 0 is no limit. */
  messageRate: number
  messageBurst: number
  /** The time at the start, ms since 1970. */
  startedAt: number
}

/** The options of a publish, as those of the service. */
export interface PublishOptions {
  key?: string | undefined
  exclude?: string | undefined
}

/** A frame of a client, as docs/protocol.md describes it. */
export interface RequestFrame {
  readonly type: 'join' | 'leave' | 'chat' | 'publish' | 'history' | 'ping'
  readonly room?: string
  readonly event?: string
  readonly data?: unknown
}

/** Refuses the next frames. */
export interface Fault {
  code: string
  times: number
  retryAfterMs: number | undefined
  match: (frame: RequestFrame, user: string) => boolean
}

/** An action that a user may be refused. */
export type Action = 'join' | 'publish' | 'history'

/** Joins and pings allowed for each message. */
const CONTROL_FACTOR = 10

/** The rooms and the connections of the twin's service. */
export class Service {
  readonly connections = new Set<Connection>()
  readonly faults: Fault[] = []
  readonly #options: ServiceOptions
  readonly #clock: FakeClock
  readonly #rooms = new Map<string, Room>()
  readonly #publishes = new Publishes()
  readonly #forbidden = new Set<string>()
  /** The number of the valid token of each user. */
  readonly #tokens = new Map<string, number>()
  #epoch: string
  #epochs = 0

  constructor (options: ServiceOptions, clock: FakeClock) {
    this.#options = options
    this.#clock = clock
    this.#epoch = options.epoch
  }

  /** The time of the service, ms since 1970. */
  get time (): number {
    return this.#options.startedAt + this.#clock.elapsed
  }

  /** The valid token of a user. */
  token (user: string): string {
    return `twin.${encodeURIComponent(user)}.${this.#tokens.get(user) ?? 1}`
  }

  /** Makes the token of a user invalid; the next one is valid. */
  expire (user: string): void {
    this.#tokens.set(user, (this.#tokens.get(user) ?? 1) + 1)
  }

  /** Refuses an action to a user from now on. */
  forbid (user: string, action: Action, room: string): void {
    this.#forbidden.add(JSON.stringify([user, action, room]))
  }

  /** Throws `forbidden` for an action that a user may not do. In automatic rooms, clients do not publish. */
  check (user: string, action: Action, room: string, name: string): void {
    const isRefused = room.startsWith('@') && (action === 'publish' || (room !== ALL_ROOM && room !== userRoom(user)))
    if (isRefused || this.#forbidden.has(JSON.stringify([user, action, name]))) {
      throw new Refusal('forbidden', `${action} is not granted in ${name}`)
    }
  }

  /** The allowances of a new connection. */
  allowances (): { messages: Allowance, control: Allowance } {
    const { messageRate, messageBurst } = this.#options
    const now = (): number => this.#clock.elapsed
    return {
      messages: new Allowance(messageRate, messageBurst, now),
      control: new Allowance(messageRate * CONTROL_FACTOR, messageBurst * CONTROL_FACTOR, now)
    }
  }

  /** A room by its real name. A room whose position is forgotten begins again in a new epoch. */
  room (name: string): Room {
    if (!isRoomName(name) && name !== ALL_ROOM && !/^@user:./.test(name)) throw new Refusal('invalid_room', ROOM_RULE)
    let room = this.#rooms.get(name)
    if (room === undefined) {
      room = new Room(name, this.#begin(this.#epoch))
      this.#rooms.set(name, room)
    } else if (room.members.size === 0 && room.history.isOver(this.time)) room.history = this.#begin(`${this.#epoch}.${++this.#epochs}`)
    return room
  }

  /** Publishes to a room, and delivers the message. */
  publish (name: string, from: string, content: Content, { key, exclude }: PublishOptions): Placed {
    const room = this.room(name)
    const publish = (): Placed => {
      const stored = room.history.place(room.label, from, content, exclude, this.time)
      room.deliver(stored)
      return { stored, epoch: room.history.epoch, audience: room.members.size }
    }
    return key === undefined ? publish() : this.#publishes.once(name, from, key, content, this.time, publish)
  }

  /** Ends the memberships of a connection. */
  disconnect (connection: Connection): void {
    connection.isOver = true
    if (!this.connections.delete(connection)) return
    for (const room of connection.rooms.values()) {
      room.remove(connection)
      room.history.keep(this.time)
    }
    connection.rooms.clear()
  }

  /** Ends all connections without notices. With an epoch, the rooms and the keys are forgotten. */
  restart (epoch: string | undefined): void {
    for (const room of this.#rooms.values()) {
      room.members.clear()
      room.history.keep(this.time)
    }
    this.connections.clear()
    if (epoch === undefined) return
    this.#rooms.clear()
    this.#publishes.clear()
    this.#epoch = epoch
  }

  /** Makes the members of a room miss messages: with an epoch, the room begins again; otherwise it forgets its messages. */
  reset (name: string, epoch: string | undefined): void {
    const room = this.room(name)
    if (epoch === undefined) room.history.forget()
    else room.history = this.#begin(epoch)
    room.reset(epoch === undefined ? 'history' : 'epoch')
  }

  /** Throws the refusal of a frame that a test has asked for. */
  refuse (frame: ClientFrame, user: string): void {
    const fault = this.faults.find(({ times, match }) => times > 0 && match(frame, user))
    if (fault === undefined) return
    fault.times--
    throw new Refusal(fault.code, `Refused by the test: ${fault.code}`, fault.retryAfterMs)
  }

  #begin (epoch: string): History {
    return new History(epoch, this.#options.limits, this.time)
  }
}
