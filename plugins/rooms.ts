import fp from 'fastify-plugin'
import { Rooms } from '../src/rooms/rooms.ts'

declare module 'fastify' {
  interface FastifyInstance {
    rooms: Rooms
  }
}

/** Half a queue, so that a page never makes a slow consumer; this much where queues have no bound, bytes. */
const PAGE_BYTES = 512 * 1024

/** `fastify.rooms`: what can be done with rooms. */
export default fp(async (app) => {
  const { MAX_ROOMS_PER_CONNECTION, MAX_QUEUE_BYTES, policies } = app.config
  app.decorate('rooms', new Rooms({
    hub: app.hub,
    broker: app.broker,
    presence: app.presence,
    policies,
    maxRoomsPerConnection: MAX_ROOMS_PER_CONNECTION,
    pageBytes: MAX_QUEUE_BYTES > 0 ? Math.floor(MAX_QUEUE_BYTES / 2) : PAGE_BYTES,
    onError: (err) => { app.log.error({ err }, 'room operation failed') }
  }))
}, { name: 'roomcast-rooms', dependencies: ['roomcast-config', 'roomcast-broker', 'roomcast-presence', 'roomcast-hub'] })
