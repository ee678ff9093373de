import fp from 'fastify-plugin'
import { RedisBroker } from '../src/broker/redis.ts'
import { MemoryPresence } from '../src/presence/memory.ts'
import type { Presence } from '../src/presence/presence.ts'
import { RedisPresence } from '../src/presence/redis.ts'

declare module 'fastify' {
  interface FastifyInstance {
    presence: Presence
  }
}

/** `fastify.presence`: who is in a room. */
export default fp(async (app) => {
  const { broker } = app
  const presence: Presence = broker instanceof RedisBroker
    ? new RedisPresence(broker.redis.servers, broker.redis.keys, broker.redis.instances)
    : new MemoryPresence()
  app.decorate('presence', presence)
}, { name: 'roomcast-presence', dependencies: ['roomcast-broker'] })
