import rateLimit from '@fastify/rate-limit'
import fp from 'fastify-plugin'
import { Admission } from '../src/admission.ts'

declare module 'fastify' {
  interface FastifyInstance {
    admission: Admission
  }
}

/** `fastify.admission`: who may open a connection. */
export default fp(async (app) => {
  await app.register(rateLimit, { global: false })
  app.decorate('admission', new Admission(app))
}, { name: 'roomcast-admission', dependencies: ['roomcast-config', 'roomcast-hub', 'roomcast-shutdown'] })
