import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisConnection } from '../redis/connection.ts'
import type { InstanceState, RedisInstances } from '../redis/instances.ts'
import { INDEXES, type RedisKeys } from '../redis/keys.ts'
import { readHash, readTexts } from '../redis/reply.ts'
import type { RedisServers } from '../redis/servers.ts'
import type { Occupancy, OccupancyQuery } from './broker.ts'

/** Number of names read at once from a list of rooms. */
const CHUNK = 500
/** Time for which the counts of a room are kept, ms. Each instance writes its own counts again before that. */
const LIFETIME_MS = 24 * 3_600_000
const REWRITE_MS = LIFETIME_MS / 3
/** Time to remove this instance from all lists when it closes, ms. */
const GOODBYE_MS = 1_000
/** Separates room and instance in a list; no room name contains it. */
const SEPARATOR = '\0'

/** The count of a room, and the state of its write to Redis. */
interface Count {
  connections: number
  /** The count that Redis has or is being sent; -1 after a failure. */
  written: number
  writing: boolean
}

/** The names of one list, and the next one to take; undefined at the end. */
interface NameReader {
  names: AsyncGenerator<string, undefined>
  next: string | undefined
}

/**
 * The number of connections of each instance in each room: a hash for each room, instance → connections, and lists of
 * the occupied rooms in the order of their names, `<room>\0<instance>`. Each instance writes its own. A lost instance
 * is not counted, and another instance removes its state.
 */
export class RedisOccupancy implements InstanceState {
  readonly #servers: RedisServers
  readonly #keys: RedisKeys
  readonly #instances: RedisInstances
  readonly #counts = new Map<string, Count>()
  #rewrittenAt = Date.now()

  constructor ({ servers, keys, instances }: RedisConnection) {
    this.#servers = servers
    this.#keys = keys
    this.#instances = instances
  }

  /** Sets the number of connections that this instance has in a room. */
  set (room: string, connections: number): void {
    let count = this.#counts.get(room)
    if (count === undefined) {
      if (connections === 0) return
      count = { connections, written: 0, writing: false }
      this.#counts.set(room, count)
    }
    count.connections = connections
    if (!count.writing) void this.#write(room, count)
  }

  async countElsewhere (room: string): Promise<number> {
    return await this.#count(room, false)
  }

  async occupied ({ prefix, cursor, limit, filter }: OccupancyQuery): Promise<{ rooms: Occupancy[], next?: string | undefined }> {
    const readers = await Promise.all(Array.from({ length: INDEXES }, async (_, i): Promise<NameReader> => {
      const names = this.#names(i, prefix, cursor)
      return { names, next: (await names.next()).value }
    }))
    const rooms: Occupancy[] = []
    for (;;) {
      // One room more than the limit shows that there is another page.
      const names = await takeLeast(readers, limit + 1 - rooms.length, filter)
      const counted = await Promise.all(names.map(async (room) => ({ room, audience: await this.#count(room, true) })))
      rooms.push(...counted.filter(({ audience }) => audience !== 0))
      if (rooms.length > limit) return { rooms: rooms.slice(0, limit), next: rooms[limit - 1]?.room }
      if (readers.every(({ next }) => next === undefined)) return { rooms }
    }
  }

  /** Writes all counts again: Redis may have lost them. */
  rewrite (): void {
    this.#rewrittenAt = Date.now()
    for (const [room, count] of this.#counts) {
      count.written = -1
      if (!count.writing) void this.#write(room, count)
    }
  }

  /** Retries failed writes, and writes all counts again before they expire. */
  retry (): void {
    if (Date.now() - this.#rewrittenAt > REWRITE_MS) this.rewrite()
    else for (const [room, count] of this.#counts) if (count.written === -1 && !count.writing) void this.#write(room, count)
  }

  async clear (instance: string): Promise<void> {
    const [servers, keys] = [this.#servers, this.#keys]
    for (let i = 0; i < 2 * INDEXES; i++) {
      const key = keys.index(i % INDEXES, i >= INDEXES)
      let from = '-'
      for (;;) {
        const entries = readTexts(await servers.command(key, 'zrange', key, from, '+', 'BYLEX', 'LIMIT', 0, CHUNK))
        await Promise.all(entries.filter((entry) => entry.endsWith(SEPARATOR + instance)).map(async (entry) => {
          const { occupancy } = keys.room(roomOf(entry))
          await Promise.all([servers.command(occupancy, 'hdel', occupancy, instance), servers.command(key, 'zrem', key, entry)])
        }))
        if (entries.length < CHUNK) break
        from = `(${entries.at(-1)}`
      }
    }
  }

  /** Removes this instance from all lists, as far as Redis is available. */
  async close (): Promise<void> {
    const removed = Promise.allSettled([...this.#counts].map(async ([room, count]) => {
      count.connections = 0
      await this.#write(room, count)
    }))
    await Promise.race([removed, sleep(GOODBYE_MS, undefined, { ref: false })])
  }

  /** Writes the count of a room until Redis has the latest; one write at a time. */
  async #write (room: string, count: Count): Promise<void> {
    const [servers, keys, instance] = [this.#servers, this.#keys, this.#instances.name]
    const { occupancy } = keys.room(room)
    const index = keys.indexOf(room)
    count.writing = true
    try {
      while (count.written !== count.connections) {
        const { connections } = count
        const known = count.written > 0
        count.written = connections
        await Promise.all(connections === 0
          ? [
              servers.command(occupancy, 'hdel', occupancy, instance),
              servers.command(index, 'zrem', index, room + SEPARATOR + instance)
            ]
          : [
              servers.command(occupancy, 'hset', occupancy, instance, connections),
              ...(known
                ? []
                : [
                    servers.command(occupancy, 'pexpire', occupancy, LIFETIME_MS),
                    servers.command(index, 'zadd', index, 0, room + SEPARATOR + instance)
                  ])
            ])
      }
      if (count.connections === 0) this.#counts.delete(room)
    } catch {
      count.written = -1 // Redis is away. A later heartbeat retries.
    } finally {
      count.writing = false
    }
  }

  /** Counts the connections in a room on the instances that are not lost. */
  async #count (room: string, own: boolean): Promise<number> {
    const { occupancy } = this.#keys.room(room)
    const counts = readHash(await this.#servers.command(occupancy, 'hgetall', occupancy))
    let sum = own ? this.#counts.get(room)?.connections ?? 0 : 0
    for (const [instance, count] of counts) if (instance !== this.#instances.name && !this.#instances.isLost(instance)) sum += Number(count)
    return sum
  }

  /** Reads the names in one of the lists, each once. */
  async * #names (number: number, prefix: string, cursor: string): AsyncGenerator<string, undefined> {
    const key = this.#keys.index(number, false)
    let from = cursor >= prefix && cursor !== '' ? `(${cursor}${SEPARATOR}~` : `[${prefix}`
    for (;;) {
      const entries = readTexts(await this.#servers.command(key, 'zrange', key, from, `(${prefix}\u007f`, 'BYLEX', 'LIMIT', 0, CHUNK))
      let last: string | undefined
      for (const entry of entries) {
        const [room = '', instance = ''] = entry.split(SEPARATOR)
        if (room === last || this.#instances.isLost(instance)) continue
        last = room
        yield room
      }
      if (entries.length < CHUNK) return
      from = `(${roomOf(entries.at(-1) ?? '')}${SEPARATOR}~`
    }
  }
}

/** Merges sorted names: takes the least ones that pass a filter. */
async function takeLeast (readers: NameReader[], count: number, filter: (name: string) => boolean): Promise<string[]> {
  const taken: string[] = []
  while (taken.length < count) {
    let least: NameReader | undefined
    for (const reader of readers) {
      if (reader.next !== undefined && (least?.next === undefined || reader.next < least.next)) least = reader
    }
    if (least?.next === undefined) break
    if (filter(least.next)) taken.push(least.next)
    least.next = (await least.names.next()).value
  }
  return taken
}

/** The room of a list's entry. */
function roomOf (entry: string): string {
  return entry.split(SEPARATOR)[0] ?? ''
}
