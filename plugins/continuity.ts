import fp from 'fastify-plugin'
import { Continuity } from '../src/rooms/continuity.ts'

declare module 'fastify' {
  interface FastifyInstance {
    continuity: Continuity
  }
}

/** `fastify.continuity`: stands between the broker and the members, and fills gaps. */
export default fp(async (app) => {
  const { broker, hub, historyReads } = app
  const continuity = new Continuity({
    hub,
    broker,
    reads: historyReads,
    onError: (err) => { app.log.error({ err }, 'a gap could not be filled') }
  })
  broker.listen((envelope) => { continuity.receive(envelope) })
  app.decorate('continuity', continuity)
}, { name: 'roomcast-continuity', dependencies: ['roomcast-broker', 'roomcast-hub', 'roomcast-history-reads'] })
