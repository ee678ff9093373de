import fp from 'fastify-plugin'
import { PendingUpgrades } from '../src/connections/pending-upgrades.ts'

declare module 'fastify' {
  interface FastifyInstance {
    pendingUpgrades: PendingUpgrades
  }
}

/** `fastify.pendingUpgrades`: sockets between their request for an upgrade and its end. */
export default fp(async (app) => {
  app.decorate('pendingUpgrades', new PendingUpgrades())
}, { name: 'roomcast-pending-upgrades' })
