import type { RedisConnection } from '../redis/connection.ts'
import type { InstanceState, RedisInstances } from '../redis/instances.ts'
import type { RedisKeys } from '../redis/keys.ts'
import { readArray, readInteger, readText, readTexts } from '../redis/reply.ts'
import { RequestFailed } from '../redis/request.ts'
import { script } from '../redis/script.ts'
import type { RedisServers } from '../redis/servers.ts'
import type { Presence } from './presence.ts'

/** Time for which the users of a room are kept, ms. Each instance writes its own users again before that. */
const LIFETIME_MS = 24 * 3_600_000
const REWRITE_MS = LIFETIME_MS / 3

/** Functions of all scripts. A user is a member while any instance has them. */
const ROOM = `
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1], KEYS[2]) end
end

-- Takes a user off a node; returns whether the room has one member less.
local function remove(field, user)
  if redis.call('HDEL', KEYS[1], field) == 0 then return false end
  if redis.call('HINCRBY', KEYS[2], user, -1) > 0 then return false end
  redis.call('HDEL', KEYS[2], user)
  return true
end
`

/**
 * Adds a user of an instance to a room.
 *
 * KEYS users by instance, users
 * ARGV run ID, instance, user, lifetime, ms
 * Returns the number of members if the user is a new one, otherwise -1.
 */
const ENTER = script(`${ROOM}
local new = redis.call('HSETNX', KEYS[1], ARGV[2] .. ' ' .. ARGV[3], 1) == 1 and redis.call('HINCRBY', KEYS[2], ARGV[3], 1) == 1
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return new and redis.call('HLEN', KEYS[2]) or -1
`, 'always')

/**
 * Removes a user of an instance from a room.
 *
 * KEYS users by instance, users
 * ARGV run ID, instance, user
 * Returns the number of members left if the user is not a member any more, otherwise -1.
 */
const LEAVE = script(`${ROOM}
return remove(ARGV[2] .. ' ' .. ARGV[3], ARGV[3]) and redis.call('HLEN', KEYS[2]) or -1
`, 'always')

/**
 * Removes all users of a lost instance from a room.
 *
 * KEYS users by instance, users
 * ARGV run ID, instance
 * Returns the users that are not members any more, each with the number of members left.
 */
const CLEAR = script(`${ROOM}
local gone = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local node, user = string.match(field, '^(%S+) (.*)$')
  if node == ARGV[2] and remove(field, user) then
    gone[#gone + 1] = user
    gone[#gone + 1] = redis.call('HLEN', KEYS[2])
  end
end
return gone
`, 'always')

/**
 * The presence of several instances. Each keeps its users of a room in Redis; a user is a member while any instance has
 * them. Another instance removes the users of a lost instance, and announces those that are not members any more.
 */
export class RedisPresence implements Presence, InstanceState {
  readonly #servers: RedisServers
  readonly #keys: RedisKeys
  readonly #instances: RedisInstances
  /** Room → user → connections on this instance. */
  readonly #rooms = new Map<string, Map<string, number>>()
  /** Rooms whose latest changes are not in Redis. */
  readonly #unwritten = new Set<string>()
  #rewrittenAt = Date.now()
  #listener: (room: string, user: string, members: number) => void = () => {}

  constructor ({ servers, keys, instances }: RedisConnection) {
    this.#servers = servers
    this.#keys = keys
    this.#instances = instances
    instances.add(this)
  }

  listen (listener: (room: string, user: string, members: number) => void): void {
    this.#listener = listener
  }

  async enter (room: string, user: string): Promise<number | undefined> {
    let users = this.#rooms.get(room)
    if (users === undefined) this.#rooms.set(room, users = new Map())
    const before = users.get(user) ?? 0
    users.set(user, before + 1)
    return before === 0 ? await this.#write(room, user, true, users.size === 1) : undefined
  }

  async leave (room: string, user: string): Promise<number | undefined> {
    const users = this.#rooms.get(room)
    const before = users?.get(user) ?? 0
    if (users === undefined || before === 0) return undefined
    if (before > 1) {
      users.set(user, before - 1)
      return undefined
    }
    users.delete(user)
    if (users.size === 0) this.#rooms.delete(room)
    return await this.#write(room, user, false, users.size === 0)
  }

  rewrite (): void {
    this.#rewrittenAt = Date.now()
    for (const room of this.#rooms.keys()) this.#unwritten.add(room)
    this.retry()
  }

  retry (): void {
    if (Date.now() - this.#rewrittenAt > REWRITE_MS) {
      this.rewrite()
      return
    }
    const rooms = [...this.#unwritten]
    this.#unwritten.clear()
    for (const room of rooms) void this.#writeAgain(room)
  }

  async clear (instance: string): Promise<void> {
    const list = this.#keys.roomsOf(instance)
    for (const room of readTexts(await this.#servers.command(list, 'smembers', list))) {
      const { present, users } = this.#keys.room(room)
      const lost = readArray(await this.#servers.runScript(CLEAR, [present, users], [instance]))
      for (let i = 0; i < lost.length; i += 2) this.#listener(room, readText(lost[i]), readInteger(lost[i + 1]))
    }
    await this.#servers.command(list, 'del', list)
  }

  /**
   * Writes the change of a user to Redis. Resolves with the number of members, or undefined if it did not change.
   *
   * @param edge whether the user is the first one of the room on this instance, or was the last
   */
  async #write (room: string, user: string, enters: boolean, edge: boolean): Promise<number | undefined> {
    const list = this.#keys.roomsOf(this.#instances.name)
    try {
      const [reply] = await Promise.all([
        enters ? this.#enter(room, user) : this.#leave(room, user),
        edge ? this.#servers.command(list, enters ? 'sadd' : 'srem', list, room) : undefined
      ])
      const members = readInteger(reply)
      return members === -1 ? undefined : members
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error
      this.#unwritten.add(room)
      return undefined
    }
  }

  /** Writes all users of a room after Redis was away or emptied. The changes in between are unknown and not announced. */
  async #writeAgain (room: string): Promise<void> {
    const here = this.#rooms.get(room) ?? new Map<string, number>()
    const { present } = this.#keys.room(room)
    const list = this.#keys.roomsOf(this.#instances.name)
    try {
      if (here.size > 0) await this.#servers.command(list, 'sadd', list, room)
      const fields = readTexts(await this.#servers.command(present, 'hkeys', present))
      const prefix = `${this.#instances.name} `
      const written = fields.filter((field) => field.startsWith(prefix)).map((field) => field.slice(prefix.length))
      await Promise.all([
        ...[...here.keys()].map(async (user) => await this.#enter(room, user)),
        ...written.filter((user) => !here.has(user)).map(async (user) => await this.#leave(room, user))
      ])
    } catch {
      this.#unwritten.add(room) // Redis is away again.
    }
  }

  #enter (room: string, user: string): Promise<unknown> {
    const { present, users } = this.#keys.room(room)
    return this.#servers.runScript(ENTER, [present, users], [this.#instances.name, user, LIFETIME_MS])
  }

  #leave (room: string, user: string): Promise<unknown> {
    const { present, users } = this.#keys.room(room)
    return this.#servers.runScript(LEAVE, [present, users], [this.#instances.name, user])
  }
}
