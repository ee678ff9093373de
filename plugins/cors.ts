import fastifyCors from '@fastify/cors'
import fp from 'fastify-plugin'
import { isOriginAllowed } from '../src/auth/origins.ts'

/** Lets pages of the allowed origins call the REST routes (CORS). */
export default fp(async (app) => {
  const { allowedOrigins, JWT_COOKIE } = app.config
  if (app.hasRequestDecorator('corsPreflightEnabled')) return // The application's own CORS covers these routes.
  await app.register(fastifyCors, {
    origin: allowedOrigins === '*'
      ? '*'
      : (origin, done) => { done(null, origin !== undefined && isOriginAllowed(allowedOrigins, origin)) },
    credentials: JWT_COOKIE !== undefined,
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    allowedHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key', 'Last-Event-ID'],
    exposedHeaders: ['Idempotent-Replayed', 'Retry-After'],
    strictPreflight: false, // Otherwise an OPTIONS that is no preflight gets a 400 in plain text.
    maxAge: 600
  })
}, { name: 'roomcast-cors', dependencies: ['roomcast-config'] })
