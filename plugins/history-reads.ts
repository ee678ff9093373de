import fp from 'fastify-plugin'
import { HistoryReads } from '../src/rooms/history-reads.ts'

declare module 'fastify' {
  interface FastifyInstance {
    historyReads: HistoryReads
  }
}

/** `fastify.historyReads`: all reads of history by this instance. */
export default fp(async (app) => {
  const { broker, config: { MAX_QUEUE_BYTES } } = app
  app.decorate('historyReads', new HistoryReads(broker, MAX_QUEUE_BYTES > 0 ? Math.floor(MAX_QUEUE_BYTES / 2) : undefined))
}, { name: 'roomcast-history-reads', dependencies: ['roomcast-config', 'roomcast-broker'] })
