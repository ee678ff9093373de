import fp from 'fastify-plugin'
import { Hub } from '../src/hub/hub.ts'

declare module 'fastify' {
  interface FastifyInstance {
    hub: Hub
  }
}

/** `fastify.hub`: this node's connections and their rooms. */
export default fp(async (app) => {
  app.decorate('hub', new Hub())
}, { name: 'roomcast-hub' })
