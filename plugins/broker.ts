import fp from 'fastify-plugin'
import type { Broker } from '../src/broker/broker.ts'
import { MemoryBroker } from '../src/broker/memory.ts'

declare module 'fastify' {
  interface FastifyInstance {
    broker: Broker
  }
}

/** `fastify.broker`: what is between the nodes. */
export default fp(async (app) => {
  const { HISTORY_SIZE, HISTORY_TTL_SECONDS, MAX_HISTORY_BYTES } = app.config
  const broker = new MemoryBroker({ historySize: HISTORY_SIZE, historyTtlSeconds: HISTORY_TTL_SECONDS, maxHistoryBytes: MAX_HISTORY_BYTES })
  app.decorate('broker', broker)
  app.addHook('onClose', async () => { await broker.close() })
}, { name: 'roomcast-broker', dependencies: ['roomcast-config'] })
