import fp from 'fastify-plugin'
import { KeyLimit } from '../src/callers/key-limit.ts'
import { Rooms, type RoomsFor } from '../src/rooms/rooms.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The rooms as a caller may use them. */
    roomsFor: RoomsFor
  }
}

/** `fastify.roomsFor`: publishing, history and occupancy. */
export default fp(async (app) => {
  const { broker, config, historyReads, hub } = app
  const options = { hub, broker, reads: historyReads, policies: config.policies, keys: new KeyLimit(config.MAX_KEYS_PER_CALLER) }
  app.decorate('roomsFor', (caller) => new Rooms(options, caller))
}, { name: 'roomcast-rooms', dependencies: ['roomcast-config', 'roomcast-broker', 'roomcast-hub', 'roomcast-history-reads'] })
