import fastifyWebsocket from '@fastify/websocket'
import fp from 'fastify-plugin'

/**
 * WebSocket routes, by `@fastify/websocket`: the application's own, if it has registered it. What holds for our
 * sockets is set on each of them (`src/upgraded.ts`), so that it does not depend on whose it is.
 */
export default fp(async (app) => {
  if (app.hasDecorator('websocketServer')) return
  await app.register(fastifyWebsocket)
}, { name: 'roomcast-websocket' })
