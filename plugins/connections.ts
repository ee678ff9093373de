import fp from 'fastify-plugin'
import { Connections } from '../src/connections/connections.ts'

declare module 'fastify' {
  interface FastifyInstance {
    connections: Connections
  }
}

/** `fastify.connections`: opens connections over every transport. */
export default fp(async (app) => {
  const { config, hub, memberships } = app
  app.decorate('connections', new Connections({
    hub,
    memberships,
    maxLifetimeMs: config.MAX_TOKEN_LIFETIME_SECONDS * 1_000,
    maxQueueBytes: config.MAX_QUEUE_BYTES,
    heartbeatMs: config.HEARTBEAT_SECONDS * 1_000,
    onError: (err) => { app.log.error({ err }, 'a connection could not join its automatic rooms') }
  }))
}, { name: 'roomcast-connections', dependencies: ['roomcast-config', 'roomcast-hub', 'roomcast-memberships'] })
