import { createHash } from 'node:crypto'
import { isAutomatic, roomLabel } from '../protocol/names.ts'

/** Number of lists of occupied rooms. Several lists spread over the masters of a cluster. */
export const INDEXES = 16

/** The keys and channels in Redis. All keys of one room have the same hash tag, so one server holds them. */
export class RedisKeys {
  readonly #prefix: string

  constructor (prefix: string) {
    this.#prefix = prefix
  }

  room (room: string): RoomKeys {
    const base = `${this.#prefix}{${tagOf(room)}}`
    return {
      channel: base,
      meta: `${base}:m`,
      stream: `${base}:s`,
      occupancy: `${base}:o`,
      present: `${base}:p`,
      users: `${base}:u`,
      remembered: `${base}:k:`
    }
  }

  channel (room: string): string {
    return `${this.#prefix}{${tagOf(room)}}`
  }

  /** The rooms in which an instance has members. */
  roomsOf (instance: string): string {
    return `${this.#prefix}{node-${instance}}:rooms`
  }

  /** The instances, with the time of their latest heartbeat. */
  get registry (): string {
    return `${this.#prefix}{nodes}:registry`
  }

  /** The digest of each instance's room policies. */
  get policies (): string {
    return `${this.#prefix}{nodes}:policies`
  }

  /** The instance that removes the state of lost ones. */
  get lease (): string {
    return `${this.#prefix}{nodes}:lease`
  }

  /** The list that holds a room while it is occupied. */
  indexOf (room: string): string {
    let hash = 0
    for (let i = 0; i < room.length; i++) hash = (hash * 31 + room.charCodeAt(i)) | 0
    return this.index((hash >>> 0) % INDEXES, isAutomatic(room))
  }

  /** One of the lists of rooms. Automatic rooms have separate lists, because those are not read page by page. */
  index (number: number, automatic: boolean): string {
    return `${this.#prefix}{rooms-${number}}:${automatic ? 'automatic' : 'occupied'}`
  }
}

export interface RoomKeys {
  channel: string
  meta: string
  stream: string
  occupancy: string
  /** Users by instance. */
  present: string
  /** Users, each with the number of instances that have them. */
  users: string
  /** Prefix of the key that remembers a publish. */
  remembered: string
}

/** The hash tag of a room. User names may contain any character, braces included, so they are hashed. */
function tagOf (room: string): string {
  const label = roomLabel(room)
  return label === room ? room : `${label}:${createHash('sha256').update(room.slice(label.length + 1)).digest('base64url')}`
}
