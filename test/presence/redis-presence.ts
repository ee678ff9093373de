import { RedisPresence } from '../../src/presence/redis.ts'
import type { RedisConnection } from '../../src/redis/connection.ts'
import { readTexts } from '../../src/redis/reply.ts'
import type { RedisSettings } from '../../src/redis/settings.ts'
import { connectToRedis } from '../support/redis-connection.ts'
import type { PresenceUnderTest } from './conformance.ts'

/** Makes the presence of two instances and more, each with a separate connection. */
export async function makeRedisPresence (
  settings: RedisSettings,
  prefix: string
): Promise<PresenceUnderTest & Required<Pick<PresenceUnderTest, 'another'>>> {
  const connections: RedisConnection[] = []
  const make = async () => {
    const redis = await connectToRedis(settings, prefix)
    connections.push(redis)
    const presence = new RedisPresence(redis)
    await redis.instances.start()
    return { redis, presence }
  }
  const [first, second] = await Promise.all([make(), make()])
  const { servers, keys: { registry } } = first.redis
  return {
    presence: first.presence,
    other: second.presence,
    another: async () => {
      const { redis: { instances, ...redis }, presence } = await make()
      return {
        presence,
        lose: async () => {
          instances.close()
          redis.servers.close()
          // Backdates the latest heartbeat, so that the test need not wait.
          await servers.command(registry, 'zadd', registry, 1, instances.name)
        },
        isCleared: async () => !readTexts(await servers.command(registry, 'zrange', registry, 0, -1)).includes(instances.name)
      }
    },
    cleanup: async () => { for (const redis of connections) redis.close() }
  }
}
