import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Broker, HistoryOf } from '../src/broker/broker.ts'
import { MemoryBroker } from '../src/broker/memory.ts'

declare module 'fastify' {
  interface FastifyInstance {
    broker: Broker
  }
}

/** `fastify.broker`: order, history and delivery, in Redis or in memory. */
export default fp(async (app) => {
  const broker = await makeBroker(app)
  app.decorate('broker', broker)
  app.addHook('onClose', async () => { await broker.close() })
}, { name: 'roomcast-broker', dependencies: ['roomcast-config', 'roomcast-redis'] })

// Outside the default export, for the dynamic import: see plugins/redis.ts.
async function makeBroker ({ config, redis, log }: FastifyInstance): Promise<Broker> {
  const historyOf: HistoryOf = (room) => config.policies.of(room).history
  if (redis === undefined) {
    return new MemoryBroker({ historyOf, maxHistoryBytes: config.MAX_HISTORY_BYTES, maxIdleRooms: config.MAX_IDLE_ROOMS })
  }
  const { RedisBroker } = await import('../src/broker/redis.ts')
  return new RedisBroker({ redis, historyOf, onError: (message, err) => { log.error({ err }, message) } })
}
