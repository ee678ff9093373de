import fp from 'fastify-plugin'
import { RoomcastError } from '../src/errors.ts'

/** Refuses upgrades on the routes around it, which `@fastify/websocket` would accept on any GET route, and then close. */
export default fp(async (app) => {
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.ws) throw new RoomcastError('not_found', 'There is no WebSocket here')
    done()
  })
}, { name: 'roomcast-upgrades', dependencies: ['roomcast-websocket'] })
