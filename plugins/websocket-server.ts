import fastifyWebsocket from '@fastify/websocket'
import fp from 'fastify-plugin'

/**
 * Adds WebSocket routes by `@fastify/websocket`, unless the application has registered it. Each socket gets its settings
 * separately (`src/transport/ws-internals.ts`), so that they do not depend on the registration.
 */
export default fp(async (app) => {
  if (app.hasDecorator('websocketServer')) return
  await app.register(fastifyWebsocket)
}, { name: 'roomcast-websocket-server' })
