import fp from 'fastify-plugin'
import { RoomcastError } from '../src/errors.ts'

/** Refuses upgrades on the routes around it: `@fastify/websocket` would accept and then close them on any GET route. */
export default fp(async (app) => {
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.ws) throw new RoomcastError('not_found', 'There is no WebSocket here')
    done()
  })
}, { name: 'roomcast-no-upgrades', dependencies: ['roomcast-websocket-server'] })
