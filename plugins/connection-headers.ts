import fp from 'fastify-plugin'
import { dropConnectionHeaders } from '../src/connection-headers.ts'

/** Lets the routes around it set headers without regard to the version of HTTP. Its hook has to be the last of its kind. */
export default fp(async (app) => {
  app.addHook('onSend', (_request, reply, payload, done) => {
    dropConnectionHeaders(reply)
    done(null, payload)
  })
}, { name: 'roomcast-connection-headers', dependencies: ['roomcast-shutdown'] })
