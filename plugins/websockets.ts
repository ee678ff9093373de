import fp from 'fastify-plugin'
import { WebSockets } from '../src/connections/websocket.ts'

declare module 'fastify' {
  interface FastifyInstance {
    webSockets: WebSockets
  }
}

/** `fastify.webSockets`: makes connections of WebSockets. */
export default fp(async (app) => {
  const { config, connections, hub, memberships, roomsFor } = app
  app.decorate('webSockets', new WebSockets({
    hub,
    roomsFor,
    memberships,
    connections,
    maxMessageBytes: config.MAX_MESSAGE_BYTES,
    messageRate: config.MESSAGE_RATE,
    messageBurst: config.MESSAGE_BURST,
    onError: (err) => { app.log.error({ err }, 'command failed') }
  }))
}, {
  name: 'roomcast-websockets',
  dependencies: ['roomcast-config', 'roomcast-hub', 'roomcast-rooms', 'roomcast-memberships', 'roomcast-connections']
})
