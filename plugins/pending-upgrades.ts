import fp from 'fastify-plugin'
import { PendingUpgrades } from '../src/connections/pending-upgrades.ts'

declare module 'fastify' {
  interface FastifyInstance {
    pendingUpgrades: PendingUpgrades
  }
}

/** `fastify.pendingUpgrades`: the sockets between their request for an upgrade and its end, on every path of the application. */
export default fp(async (app) => {
  const pendingUpgrades = new PendingUpgrades(app.server, app.httpConnections)
  app.decorate('pendingUpgrades', pendingUpgrades)
  app.websocketServer.on('connection', (_ws, request) => { pendingUpgrades.done(request) })
}, { name: 'roomcast-pending-upgrades', dependencies: ['roomcast-websocket-server', 'roomcast-http-connections'] })
