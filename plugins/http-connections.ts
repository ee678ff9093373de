import fp from 'fastify-plugin'
import { HttpConnections } from '../src/connections/http-connections.ts'

declare module 'fastify' {
  interface FastifyInstance {
    httpConnections: HttpConnections
  }
}

/** `fastify.httpConnections`: the HTTP connections of the server, and the requests of the routes around it. */
export default fp(async (app) => {
  const httpConnections = new HttpConnections(app.server)
  app.decorate('httpConnections', httpConnections)
  app.addHook('onRequest', ({ raw }, reply, done) => {
    httpConnections.add(raw, reply.raw)
    done()
  })
}, { name: 'roomcast-http-connections' })
