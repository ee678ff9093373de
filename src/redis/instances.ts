import { randomBytes } from 'node:crypto'
import type { RedisKeys } from './keys.ts'
import { script } from './script.ts'
import type { RedisServers } from './servers.ts'

/** Time between the signs of life of a node, ms. */
const HEARTBEAT_MS = 5_000
/** A node that gave none for so long is gone, ms. */
const GONE_MS = 15_000
/** Who clears up after a node has this long, ms. */
const LEASE_MS = 30_000

/**
 * Says that a node is alive, and learns which others are not.
 *
 * KEYS registry, lease
 * ARGV run, node, ms after which a node that said nothing is gone, length of the lease, ms
 * Returns 1 if the node was not in the registry, 1 if this node has to clear up after those that are gone, and those.
 */
export const HEARTBEAT = script(`
if redis.call('TYPE', KEYS[1]).ok ~= 'zset' then redis.call('DEL', KEYS[1]) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local new = redis.call('ZADD', KEYS[1], now, ARGV[2])
local gone = redis.call('ZRANGE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[3]), 'BYSCORE')
local clears = #gone > 0 and redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[4]) and 1 or 0
return { new, clears, gone }
`)

/** What keeps something in Redis for its node. */
export interface InstanceState {
  /** Redis may not know this node any more: it was emptied, or this node was taken for gone. */
  rewrite: () => void
  /** The connection to Redis works (again): what could not be written can be. */
  retry: () => void
  /** Removes what a node that is gone has left. May be called again for the same node. */
  clear: (node: string) => Promise<void>
}

/**
 * The nodes that share a Redis. Each gives signs of life; one that gives none is gone, and whoever holds the lease clears up
 * after it. A node that goes down leaves that to the others, too: its members have time to come back elsewhere.
 */
export class RedisInstances {
  /** This node. */
  readonly name = randomBytes(8).toString('hex')
  readonly #servers: RedisServers
  readonly #keys: RedisKeys
  readonly #onError: (error: unknown) => void
  readonly #tenants: InstanceState[] = []
  /** Nodes that gave no sign of life, and are not cleared up after yet. */
  #gone: ReadonlySet<string> = new Set()
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor (servers: RedisServers, keys: RedisKeys, onError: (error: unknown) => void) {
    this.#servers = servers
    this.#keys = keys
    this.#onError = onError
  }

  /** Puts this node into the registry. */
  async start (): Promise<void> {
    await this.#heartbeat(true)
    this.#schedule()
  }

  add (tenant: InstanceState): void {
    this.#tenants.push(tenant)
  }

  isGone (node: string): boolean {
    return this.#gone.has(node)
  }

  close (): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #schedule (): void {
    if (this.#closed) return
    this.#timer = setTimeout(() => {
      // Redis away: the next one may reach it.
      this.#heartbeat(false).catch(() => {}).finally(() => { this.#schedule() })
    }, HEARTBEAT_MS)
    this.#timer.unref()
  }

  async #heartbeat (first: boolean): Promise<void> {
    const { registry, lease } = this.#keys
    const [isNew, clears, gone] = await this.#servers.runScript(HEARTBEAT, [registry, lease], [this.name, GONE_MS, LEASE_MS]) as [number, number, string[]]
    this.#gone = new Set(gone)
    for (const tenant of this.#tenants) {
      if (isNew === 1 && !first) tenant.rewrite()
      else tenant.retry()
    }
    if (clears === 1 && !this.#closed) this.#clear(gone).catch(this.#onError)
  }

  async #clear (gone: string[]): Promise<void> {
    const { registry, lease } = this.#keys
    for (const node of gone) {
      for (const tenant of this.#tenants) await tenant.clear(node)
      await this.#servers.command(registry, 'zrem', registry, node)
    }
    await this.#servers.command(lease, 'del', lease)
  }
}
