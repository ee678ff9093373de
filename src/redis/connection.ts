import { RedisInstances } from './instances.ts'
import { RedisKeys } from './keys.ts'
import type { OnEvent } from './operator-log.ts'
import { RedisServers } from './servers.ts'
import type { RedisSettings } from './settings.ts'

export interface RedisConnectionOptions {
  settings: RedisSettings
  /** Prefix of all keys and channels. */
  prefix: string
  /** The digest of this instance's room policies. */
  policies: string
  onEvent: OnEvent
}

/** The connection to Redis that the parts of an instance share. */
export class RedisConnection {
  readonly servers: RedisServers
  readonly keys: RedisKeys
  readonly instances: RedisInstances

  constructor (servers: RedisServers, { prefix, policies, onEvent }: RedisConnectionOptions) {
    this.servers = servers
    this.keys = new RedisKeys(prefix)
    this.instances = new RedisInstances(servers, this.keys, {
      policies,
      onOtherPolicies: (instances) => {
        const subject = instances === 1 ? '1 other instance has' : `${instances} other instances have`
        onEvent('warn', `${subject} other policies of rooms: set HISTORY_SIZE, HISTORY_TTL_SECONDS and ROOMS_FILE alike on all instances`)
      },
      onError: (error) => { onEvent('warn', 'removing the state of a lost instance failed', error) }
    })
  }

  /** Stops the heartbeats and disconnects. Close the parts that use the connection before. */
  close (): void {
    this.instances.close()
    this.servers.close()
  }
}

/** Connects to Redis. Rejects with a message for the operator when the first attempt fails. */
export async function connectRedis (options: RedisConnectionOptions): Promise<RedisConnection> {
  return new RedisConnection(await RedisServers.connect(options), options)
}
