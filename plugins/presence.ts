import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { MemoryPresence } from '../src/presence/memory.ts'
import type { Presence } from '../src/presence/presence.ts'

declare module 'fastify' {
  interface FastifyInstance {
    presence: Presence
  }
}

/** `fastify.presence`: the members of rooms, in Redis or in memory. */
export default fp(async (app) => {
  app.decorate('presence', await makePresence(app))
}, { name: 'roomcast-presence', dependencies: ['roomcast-redis'] })

// Outside the default export, for the dynamic import: see plugins/redis.ts.
async function makePresence ({ redis }: FastifyInstance): Promise<Presence> {
  if (redis === undefined) return new MemoryPresence()
  const { RedisPresence } = await import('../src/presence/redis.ts')
  return new RedisPresence(redis)
}
