import { createHash } from 'node:crypto'
import { isAutomatic, roomLabel } from '../protocol/names.ts'

/** Lists of occupied rooms: spread over so many keys, and so over the masters of a cluster. */
export const INDEXES = 16

/** The keys and channels in Redis. All that belongs to one room has the same hash tag, and is on one server. */
export class RedisKeys {
  readonly #prefix: string

  constructor (prefix: string) {
    this.#prefix = prefix
  }

  /** In front of everything about a room. */
  room (room: string): RoomKeys {
    const base = `${this.#prefix}{${tagOf(room)}}`
    return { channel: base, meta: `${base}:m`, stream: `${base}:s`, occupancy: `${base}:o`, present: `${base}:p`, users: `${base}:u`, remembered: `${base}:k:` }
  }

  channel (room: string): string {
    return `${this.#prefix}{${tagOf(room)}}`
  }

  /** The rooms in which a node has members. */
  roomsOf (node: string): string {
    return `${this.#prefix}{node-${node}}:rooms`
  }

  get registry (): string {
    return `${this.#prefix}{nodes}:registry`
  }

  get lease (): string {
    return `${this.#prefix}{nodes}:lease`
  }

  /** The list that a room stands in, if it is occupied. */
  indexOf (room: string): string {
    let hash = 0
    for (let i = 0; i < room.length; i++) hash = (hash * 31 + room.charCodeAt(i)) | 0
    return this.index((hash >>> 0) % INDEXES, isAutomatic(room))
  }

  /** One of the lists of rooms; automatic ones stand in lists of their own, for nobody reads them page by page. */
  index (number: number, automatic: boolean): string {
    return `${this.#prefix}{rooms-${number}}:${automatic ? 'automatic' : 'occupied'}`
  }
}

export interface RoomKeys {
  channel: string
  meta: string
  stream: string
  occupancy: string
  /** Users by node. */
  present: string
  /** Users, and on how many nodes each is. */
  users: string
  /** In front of the name of a publish. */
  remembered: string
}

/** Room names have no braces; the name of a user may have anything. */
function tagOf (room: string): string {
  const label = roomLabel(room)
  return label === room ? room : `${label}:${createHash('sha256').update(room.slice(label.length + 1)).digest('base64url')}`
}
