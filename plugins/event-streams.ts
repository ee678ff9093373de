import fp from 'fastify-plugin'
import { EventStreams } from '../src/connections/event-stream.ts'

declare module 'fastify' {
  interface FastifyInstance {
    eventStreams: EventStreams
  }
}

/** `fastify.eventStreams`: makes connections of HTTP responses. */
export default fp(async (app) => {
  app.decorate('eventStreams', new EventStreams({
    connections: app.connections,
    onError: (err) => { app.log.error({ err }, 'event stream failed') }
  }))
}, { name: 'roomcast-event-streams', dependencies: ['roomcast-connections'] })
