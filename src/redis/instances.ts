import { randomBytes } from 'node:crypto'
import type { RedisKeys } from './keys.ts'
import { readArray, readInteger, readTexts } from './reply.ts'
import { script } from './script.ts'
import type { RedisServers } from './servers.ts'

/** Time between two heartbeats of an instance, ms. */
const HEARTBEAT_MS = 5_000
/** An instance without a heartbeat for this long is lost, ms. */
const LOST_MS = 15_000
/** Time for one instance to remove the state of lost ones, ms. */
const LEASE_MS = 30_000

/**
 * Records a heartbeat, and finds the lost instances.
 *
 * KEYS registry, lease, policies
 * ARGV run ID, instance, ms without a heartbeat until an instance is lost, length of the lease, ms, digest of the policies
 * Returns 1 if the instance was not in the registry, 1 if it now holds the lease to clear lost instances, those, and the
 * digests of the instances that are not lost. An instance of an earlier version has none.
 */
const HEARTBEAT = script(`
if redis.call('TYPE', KEYS[1]).ok ~= 'zset' then redis.call('DEL', KEYS[1]) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('TYPE', KEYS[3]).ok ~= 'hash' then redis.call('DEL', KEYS[3]) end
redis.call('HSET', KEYS[3], ARGV[2], ARGV[5])
local new = redis.call('ZADD', KEYS[1], now, ARGV[2])
local gone = redis.call('ZRANGE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[3]), 'BYSCORE')
local clears = #gone > 0 and redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[4]) and 1 or 0
local policies = {}
for _, instance in ipairs(redis.call('ZRANGE', KEYS[1], string.format('(%.0f', now - ARGV[3]), '+inf', 'BYSCORE')) do
  policies[#policies + 1] = redis.call('HGET', KEYS[3], instance) or ''
end
return { new, clears, gone, policies }
`, 'always')

export interface RedisInstancesOptions {
  /** The digest of this instance's room policies. */
  policies: string
  /** Called when other instances begin to have other policies, with their number. */
  onOtherPolicies: (instances: number) => void
  /** Receives the errors of removing the state of a lost instance. */
  onError: (error: unknown) => void
}

/** State that each instance keeps in Redis. */
export interface InstanceState {
  /** Called when Redis may not know this instance any more: Redis was emptied, or this instance was taken for lost. */
  rewrite: () => void
  /** Called after each heartbeat: failed writes can be retried. */
  retry: () => void
  /** Removes the state of a lost instance. It may be called again for the same instance. */
  clear: (instance: string) => Promise<void>
}

/**
 * The instances that share a Redis. Each sends heartbeats. An instance without heartbeats is lost: the instance that
 * gets the lease removes its state. An instance that shuts down leaves its state to the others in the same way, so that
 * its members have time to reconnect elsewhere.
 */
export class RedisInstances {
  /** Name of this instance. */
  readonly name = randomBytes(8).toString('hex')
  readonly #servers: RedisServers
  readonly #keys: RedisKeys
  readonly #options: RedisInstancesOptions
  readonly #states: InstanceState[] = []
  /** Lost instances whose state is not removed yet. */
  #lost: ReadonlySet<string> = new Set()
  /** The other policies of instances at the last heartbeat. */
  #otherPolicies = ''
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor (servers: RedisServers, keys: RedisKeys, options: RedisInstancesOptions) {
    this.#servers = servers
    this.#keys = keys
    this.#options = options
  }

  /** Adds this instance to the registry, and starts its heartbeats. Add every state before: it may be needed at once. */
  async start (): Promise<void> {
    await this.#heartbeat(true)
    this.#schedule()
  }

  add (state: InstanceState): void {
    this.#states.push(state)
  }

  isLost (instance: string): boolean {
    return this.#lost.has(instance)
  }

  close (): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #schedule (): void {
    if (this.#closed) return
    this.#timer = setTimeout(() => {
      // While Redis is away, heartbeats fail; the next one may succeed.
      this.#heartbeat(false).catch(() => {}).finally(() => { this.#schedule() })
    }, HEARTBEAT_MS)
    this.#timer.unref()
  }

  async #heartbeat (first: boolean): Promise<void> {
    const { registry, lease, policies } = this.#keys
    const args = [this.name, LOST_MS, LEASE_MS, this.#options.policies]
    const reply = await this.#servers.runScript(HEARTBEAT, [registry, lease, policies], args)
    const { isNew, clears, lost, policies: all } = readHeartbeat(reply)
    this.#comparePolicies(all)
    this.#lost = new Set(lost)
    for (const state of this.#states) {
      if (isNew && !first) state.rewrite()
      else state.retry()
    }
    if (clears && !this.#closed) this.#clear(lost).catch(this.#options.onError)
  }

  /** Instances restart one after the other, so the same difference is told once. */
  #comparePolicies (all: string[]): void {
    const others = all.filter((policies) => policies !== '' && policies !== this.#options.policies)
    const distinct = [...new Set(others)].sort().join()
    if (distinct !== '' && distinct !== this.#otherPolicies) this.#options.onOtherPolicies(others.length)
    this.#otherPolicies = distinct
  }

  async #clear (lost: string[]): Promise<void> {
    const { registry, lease, policies } = this.#keys
    for (const instance of lost) {
      for (const state of this.#states) await state.clear(instance)
      await this.#servers.command(policies, 'hdel', policies, instance)
      await this.#servers.command(registry, 'zrem', registry, instance)
    }
    await this.#servers.command(lease, 'del', lease)
  }
}

function readHeartbeat (reply: unknown): { isNew: boolean, clears: boolean, lost: string[], policies: string[] } {
  const [isNew, clears, lost, policies] = readArray(reply)
  return { isNew: readInteger(isNew) === 1, clears: readInteger(clears) === 1, lost: readTexts(lost), policies: readTexts(policies) }
}
