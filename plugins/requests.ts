import fp from 'fastify-plugin'
import { Requests } from '../src/callers/requests.ts'

declare module 'fastify' {
  interface FastifyInstance {
    requests: Requests
  }
}

/** `fastify.requests`: the REST requests in progress of each caller. */
export default fp(async (app) => {
  app.decorate('requests', new Requests(app.config.MAX_REQUESTS_PER_CALLER))
}, { name: 'roomcast-requests', dependencies: ['roomcast-config'] })
