import type { RedisKeys } from '../redis/keys.ts'
import type { RedisInstances, InstanceState } from '../redis/instances.ts'
import { RequestFailed } from '../redis/request.ts'
import { script } from '../redis/script.ts'
import type { RedisServers } from '../redis/servers.ts'
import type { Presence } from './presence.ts'

/** What is written is kept this long, ms; every node writes its own again in time. */
const LIFETIME_MS = 24 * 3_600_000
const REWRITE_MS = LIFETIME_MS / 3

/** What the scripts share: a user is on a node or not, and a member while on any. */
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
 * A user has come to a room on a node.
 *
 * KEYS users by node, users
 * ARGV run, node, user, lifetime, ms
 * Returns the members of the room if the user is a new one, otherwise -1.
 */
const ENTER = script(`${ROOM}
local new = redis.call('HSETNX', KEYS[1], ARGV[2] .. ' ' .. ARGV[3], 1) == 1 and redis.call('HINCRBY', KEYS[2], ARGV[3], 1) == 1
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return new and redis.call('HLEN', KEYS[2]) or -1
`)

/**
 * A user has left a room on a node.
 *
 * KEYS users by node, users
 * ARGV run, node, user
 * Returns the members that are left if the user is none any more, otherwise -1.
 */
const LEAVE = script(`${ROOM}
return remove(ARGV[2] .. ' ' .. ARGV[3], ARGV[3]) and redis.call('HLEN', KEYS[2]) or -1
`)

/**
 * A node is gone.
 *
 * KEYS users by node, users
 * ARGV run, node
 * Returns the users who are no members any more, each with the members left after them.
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
`)

/**
 * The presence of many nodes. Each keeps in Redis which users it has in a room; a user is a member while any node has
 * them. What a node that is gone has left is removed by another one, which says who is gone.
 */
export class RedisPresence implements Presence, InstanceState {
  readonly #servers: RedisServers
  readonly #keys: RedisKeys
  readonly #instances: RedisInstances
  /** Room → user → connections on this node. */
  readonly #rooms = new Map<string, Map<string, number>>()
  /** Rooms about which Redis has not been told everything. */
  readonly #unwritten = new Set<string>()
  #rewrittenAt = Date.now()
  #listener: (room: string, user: string, members: number) => void = () => {}

  constructor (servers: RedisServers, keys: RedisKeys, instances: RedisInstances) {
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

  async clear (node: string): Promise<void> {
    const list = this.#keys.roomsOf(node)
    for (const room of await this.#servers.command(list, 'smembers', list) as string[]) {
      const { present, users } = this.#keys.room(room)
      const gone = await this.#servers.runScript(CLEAR, [present, users], [node]) as (string | number)[]
      for (let i = 0; i < gone.length; i += 2) this.#listener(room, gone[i] as string, gone[i + 1] as number)
    }
    await this.#servers.command(list, 'del', list)
  }

  /** @param edge whether it is the first user of the room on this node, or was the last */
  async #write (room: string, user: string, enters: boolean, edge: boolean): Promise<number | undefined> {
    const { present, users } = this.#keys.room(room)
    const list = this.#keys.roomsOf(this.#instances.name)
    try {
      const [members] = await Promise.all([
        enters
          ? this.#servers.runScript(ENTER, [present, users], [this.#instances.name, user, LIFETIME_MS])
          : this.#servers.runScript(LEAVE, [present, users], [this.#instances.name, user]),
        edge ? this.#servers.command(list, enters ? 'sadd' : 'srem', list, room) : undefined
      ])
      return members === -1 ? undefined : members as number
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error
      this.#unwritten.add(room)
      return undefined
    }
  }

  /** Brings Redis up to date about a room, after it was away or has forgotten. Nobody is told: who came and went is not known. */
  async #writeAgain (room: string): Promise<void> {
    const here = this.#rooms.get(room) ?? new Map<string, number>()
    const { present, users } = this.#keys.room(room)
    const list = this.#keys.roomsOf(this.#instances.name)
    try {
      if (here.size > 0) await this.#servers.command(list, 'sadd', list, room)
      const fields = await this.#servers.command(present, 'hkeys', present) as string[]
      const prefix = `${this.#instances.name} `
      const written = fields.filter((field) => field.startsWith(prefix)).map((field) => field.slice(prefix.length))
      await Promise.all([
        ...[...here.keys()].map(async (user) => await this.#servers.runScript(ENTER, [present, users], [this.#instances.name, user, LIFETIME_MS])),
        ...written.filter((user) => !here.has(user)).map(async (user) => await this.#servers.runScript(LEAVE, [present, users], [this.#instances.name, user]))
      ])
    } catch {
      this.#unwritten.add(room) // Redis is away again.
    }
  }
}
