import { Redis } from 'ioredis'
import t from 'tap'
import { findRedis } from '../support/debian.ts'
import { makePrefix, redisSettings } from '../support/redis-connection.ts'
import { RedisServer } from '../support/redis-server.ts'
import { conformance } from './conformance.ts'
import { makeRedisPresence } from './redis-presence.ts'

const program = process.env.REDIS_URL === undefined ? findRedis(t) : undefined
const server = program === undefined ? undefined : await RedisServer.start(t, program, '--appendonly yes', '--appendfsync always')
const url = server?.url ?? process.env.REDIS_URL

if (url !== undefined) {
  conformance('redis', async () => {
    const prefix = makePrefix()
    const made = await makeRedisPresence(redisSettings({ REDIS_URL: url }), prefix)
    return {
      ...made,
      ...(server !== undefined && {
        stopBackend: async (data: 'kept' | 'lost') => {
          if (data === 'lost') await server.command('flushall')
          await server.kill()
          return async () => { await server.start() }
        }
      }),
      cleanup: async () => {
        await made.cleanup()
        const client = new Redis(url)
        const keys = await client.keys(`${prefix}*`)
        if (keys.length > 0) await client.del(keys)
        client.disconnect()
      }
    }
  })
}
