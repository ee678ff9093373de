import fastifyWebsocket from '@fastify/websocket'
import fp from 'fastify-plugin'

/**
 * WebSocket routes by `@fastify/websocket`: the application's own registration, if there is one. The settings of our
 * sockets are set on each of them (`src/transport/ws-internals.ts`), so that they do not depend on the registration.
 */
export default fp(async (app) => {
  if (app.hasDecorator('websocketServer')) return
  await app.register(fastifyWebsocket)
}, { name: 'roomcast-websocket-server' })
