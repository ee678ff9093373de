import fastifyWebsocket from '@fastify/websocket'
import fp from 'fastify-plugin'
import { completeInjectedUpgrade } from '../src/connections/injected-upgrade.ts'

/**
 * Adds WebSocket routes by `@fastify/websocket`, unless the application has registered it. Each socket gets its settings
 * separately (`src/transport/ws-internals.ts`), so that they do not depend on the registration.
 */
export default fp(async (app) => {
  if (!app.hasPlugin('@fastify/websocket')) await app.register(fastifyWebsocket)
  app.server.prependListener('upgrade', completeInjectedUpgrade)
  // It answers no upgrade: the shutdown looks for listeners that do.
  app.addHook('preClose', async () => { app.server.removeListener('upgrade', completeInjectedUpgrade) })
}, { name: 'roomcast-websocket-server' })
