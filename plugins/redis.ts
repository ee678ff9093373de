import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { RedisConnection } from '../src/redis/connection.ts'
import type { RedisSettings } from '../src/redis/settings.ts'

declare module 'fastify' {
  interface FastifyInstance {
    redis: RedisConnection | undefined
  }
}

/** `fastify.redis`: the connection to Redis; undefined without settings of Redis. */
export default fp(async (app) => {
  const { redis: settings } = app.config
  const redis = settings === undefined ? undefined : await connect(app, settings)
  app.decorate('redis', redis)
  if (redis === undefined) return
  // By then, all plugins have added the state that they keep in Redis.
  app.addHook('onReady', async () => { await redis.instances.start() })
  app.addHook('onClose', async () => { redis.close() })
}, { name: 'roomcast-redis', dependencies: ['roomcast-config'] })

// Outside the default export: in there, TypeScript does not rewrite the file name of a dynamic import.
async function connect (app: FastifyInstance, settings: RedisSettings): Promise<RedisConnection> {
  // Loaded on demand: without ioredis, a single instance starts faster.
  const { connectRedis } = await import('../src/redis/connection.ts')
  return await connectRedis({
    settings,
    prefix: app.config.REDIS_PREFIX,
    policies: app.config.policies.digest,
    onEvent: (level, message, err) => { app.log[level]({ err }, message) }
  })
}
