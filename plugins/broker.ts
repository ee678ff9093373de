import fp from 'fastify-plugin'
import type { Broker, HistoryOf } from '../src/broker/broker.ts'
import { MemoryBroker } from '../src/broker/memory.ts'
import { RedisBroker } from '../src/broker/redis.ts'

declare module 'fastify' {
  interface FastifyInstance {
    broker: Broker
  }
}

/** `fastify.broker`: what is between the nodes, connected. */
export default fp(async (app) => {
  const { MAX_HISTORY_BYTES, REDIS_PREFIX, redis, policies } = app.config
  const historyOf: HistoryOf = (room) => policies.of(room).history
  const broker: Broker = redis === undefined
    ? new MemoryBroker({ historyOf, maxHistoryBytes: MAX_HISTORY_BYTES })
    : await RedisBroker.connect({
      historyOf,
      settings: redis,
      prefix: REDIS_PREFIX,
      onEvent: (level, message, err) => { app.log[level]({ err }, message) }
    })
  app.decorate('broker', broker)
  app.addHook('onClose', async () => { await broker.close() })
}, { name: 'roomcast-broker', dependencies: ['roomcast-config'] })
