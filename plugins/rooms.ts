import fp from 'fastify-plugin'
import { Rooms } from '../src/rooms/rooms.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The rooms as the application uses them; `rooms.as(…)` for a user. */
    rooms: Rooms
  }
}

/** `fastify.rooms`: publishing, history and occupancy. */
export default fp(async (app) => {
  const { broker, config, historyReads, hub } = app
  app.decorate('rooms', new Rooms({ hub, broker, reads: historyReads, policies: config.policies }))
}, { name: 'roomcast-rooms', dependencies: ['roomcast-config', 'roomcast-broker', 'roomcast-hub', 'roomcast-history-reads'] })
