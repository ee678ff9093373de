import { setTimeout as sleep } from 'node:timers/promises'
import { INDEXES, type RedisKeys } from '../redis/keys.ts'
import type { RedisInstances, InstanceState } from '../redis/instances.ts'
import type { RedisServers } from '../redis/servers.ts'
import type { Occupancy, OccupancyQuery } from './broker.ts'

/** Lists of rooms are read so many names at a time. */
const CHUNK = 500
/** What a room's counts are kept for when they do not change, ms; every node writes those of its rooms again in time. */
const LIFETIME_MS = 24 * 3_600_000
const REWRITE_MS = LIFETIME_MS / 3
/** Time to take this node off the lists when it goes, ms. */
const GOODBYE_MS = 1_000
/** Between node and room in a list; no room name has it. */
const SEPARATOR = '\0'

/** A room's count, on its way to Redis. */
interface Count {
  connections: number
  /** What Redis has, or is being sent. */
  written: number
  writing: boolean
}

/**
 * How many connections each node has in each room: a hash per room, node → connections, and lists of occupied rooms
 * in the order of their names, `<room>\0<node>`. Every node writes its own; a node that gives no sign of life is
 * left out at once and cleared away by another.
 */
export class RedisOccupancy implements InstanceState {
  readonly #servers: RedisServers
  readonly #keys: RedisKeys
  readonly #instances: RedisInstances
  readonly #counts = new Map<string, Count>()
  #rewrittenAt = Date.now()

  constructor (servers: RedisServers, keys: RedisKeys, instances: RedisInstances) {
    this.#servers = servers
    this.#keys = keys
    this.#instances = instances
  }

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

  async occupied ({ prefix, cursor, limit, filter }: OccupancyQuery): Promise<{ rooms: Occupancy[], next?: string }> {
    const readers = Array.from({ length: INDEXES }, (_, i) => this.#names(i, prefix, cursor))
    const heads = await Promise.all(readers.map(async (names) => await names.next()))
    const rooms: Occupancy[] = []
    for (;;) {
      const names: string[] = []
      // One more than is asked for, to know whether there is more.
      while (names.length < limit + 1 - rooms.length) {
        let least = -1
        for (const [i, head] of heads.entries()) {
          if (head.done !== true && (least === -1 || head.value < (heads[least]?.value as string))) least = i
        }
        if (least === -1) break
        const name = heads[least]?.value as string
        if (filter(name)) names.push(name)
        heads[least] = await (readers[least] as AsyncGenerator<string, undefined>).next()
      }
      const counts = await Promise.all(names.map(async (name) => await this.#count(name, true)))
      names.forEach((room, i) => { if (counts[i] !== 0) rooms.push({ room, audience: counts[i] as number }) })
      if (rooms.length > limit) return { rooms: rooms.slice(0, limit), next: rooms[limit - 1]?.room as string }
      if (heads.every(({ done }) => done === true)) return { rooms }
    }
  }

  /** Writes everything again: Redis may have lost it. */
  rewrite (): void {
    this.#rewrittenAt = Date.now()
    for (const [room, count] of this.#counts) {
      count.written = -1
      if (!count.writing) void this.#write(room, count)
    }
  }

  /** Writes what could not be written, and what is about to expire. */
  retry (): void {
    if (Date.now() - this.#rewrittenAt > REWRITE_MS) this.rewrite()
    else for (const [room, count] of this.#counts) if (count.written === -1 && !count.writing) void this.#write(room, count)
  }

  async clear (node: string): Promise<void> {
    const [servers, keys] = [this.#servers, this.#keys]
    for (let i = 0; i < 2 * INDEXES; i++) {
      const key = keys.index(i % INDEXES, i >= INDEXES)
      let from = '-'
      for (;;) {
        const entries = await servers.command(key, 'zrange', key, from, '+', 'BYLEX', 'LIMIT', 0, CHUNK) as string[]
        await Promise.all(entries.filter((entry) => entry.endsWith(SEPARATOR + node)).map(async (entry) => {
          const { occupancy } = keys.room(entry.split(SEPARATOR)[0] as string)
          await Promise.all([servers.command(occupancy, 'hdel', occupancy, node), servers.command(key, 'zrem', key, entry)])
        }))
        if (entries.length < CHUNK) break
        from = `(${entries.at(-1)}`
      }
    }
  }

  /** Takes this node off all lists, as far as Redis can be reached. */
  async close (): Promise<void> {
    const gone = Promise.allSettled([...this.#counts].map(async ([room, count]) => {
      count.connections = 0
      await this.#write(room, count)
    }))
    await Promise.race([gone, sleep(GOODBYE_MS, undefined, { ref: false })])
  }

  /** Brings Redis up to date about a room; one write at a time. */
  async #write (room: string, count: Count): Promise<void> {
    const [servers, keys, node] = [this.#servers, this.#keys, this.#instances.name]
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
              servers.command(occupancy, 'hdel', occupancy, node),
              servers.command(index, 'zrem', index, room + SEPARATOR + node)
            ]
          : [
              servers.command(occupancy, 'hset', occupancy, node, connections),
              ...(known
                ? []
                : [
                    servers.command(occupancy, 'pexpire', occupancy, LIFETIME_MS),
                    servers.command(index, 'zadd', index, 0, room + SEPARATOR + node)
                  ])
            ])
      }
      if (count.connections === 0) this.#counts.delete(room)
    } catch {
      count.written = -1 // Redis is away; when it is back, everything is written again.
    } finally {
      count.writing = false
    }
  }

  /** Connections in a room, of the nodes that are alive. */
  async #count (room: string, own: boolean): Promise<number> {
    const [servers, keys, node] = [this.#servers, this.#keys, this.#instances.name]
    const { occupancy } = keys.room(room)
    const counts = await servers.command(occupancy, 'hgetall', occupancy) as Record<string, string>
    let sum = own ? this.#counts.get(room)?.connections ?? 0 : 0
    for (const [of, count] of Object.entries(counts)) if (of !== node && !this.#instances.isGone(of)) sum += Number(count)
    return sum
  }

  /** The names in one of the lists, each once. */
  async * #names (number: number, prefix: string, cursor: string): AsyncGenerator<string, undefined> {
    const [servers, keys] = [this.#servers, this.#keys]
    const key = keys.index(number, false)
    let from = cursor >= prefix && cursor !== '' ? `(${cursor}${SEPARATOR}~` : `[${prefix}`
    for (;;) {
      const entries = await servers.command(key, 'zrange', key, from, `(${prefix}\u007f`, 'BYLEX', 'LIMIT', 0, CHUNK) as string[]
      let last: string | undefined
      for (const entry of entries) {
        const [room = '', node = ''] = entry.split(SEPARATOR)
        if (room === last || this.#instances.isGone(node)) continue
        last = room
        yield room
      }
      if (entries.length < CHUNK) return
      from = `(${(entries.at(-1) as string).split(SEPARATOR)[0]}${SEPARATOR}~`
    }
  }
}
