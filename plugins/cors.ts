import fastifyCors from '@fastify/cors'
import fp from 'fastify-plugin'
import { isOriginAllowed } from '../src/auth/origins.ts'

/** Lets pages of the allowed origins call the REST routes (CORS). */
export default fp(async (app) => {
  const { allowedOrigins, JWT_COOKIE } = app.config
  if (app.hasRequestDecorator('corsPreflightEnabled')) return // The application has CORS for everything, which includes us.
  await app.register(fastifyCors, {
    origin: allowedOrigins === '*'
      ? '*'
      : (origin, done) => { done(null, origin !== undefined && isOriginAllowed(allowedOrigins, origin)) },
    credentials: JWT_COOKIE !== undefined,
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    allowedHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key', 'Last-Event-ID'],
    exposedHeaders: ['Idempotent-Replayed', 'Retry-After'],
    strictPreflight: false, // It would answer an OPTIONS that is no preflight with 400, in plain text.
    maxAge: 600
  })
}, { name: 'roomcast-cors', dependencies: ['roomcast-config'] })
