import fastifyJwt from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Authentication, CLOCK_TOLERANCE_MS, type Verify } from '../src/auth/authentication.ts'
import type { VerificationKey } from '../src/auth/keys.ts'

declare module 'fastify' {
  interface FastifyInstance {
    authentication: Authentication
  }
}

/** The verifiers of `@fastify/jwt`, by namespace. */
type Namespaces = Record<string, { verify: Verify }>

/** `fastify.authentication`: identifies callers by their tokens, over REST and before an upgrade. */
export default fp(async (app) => {
  const { config } = app
  // Otherwise the plugin would add to the application's `jwt`, or add `user` to requests, which the application may have.
  app.decorate('jwt', {} as FastifyInstance['jwt'])
  // One registration for each key pins the key to its algorithms.
  for (const { name, key, algorithms } of config.keys) {
    await app.register(fastifyJwt, {
      namespace: namespaceOf(name),
      secret: name === 'public' ? { public: key } : key,
      verify: {
        algorithms,
        requiredClaims: ['exp', 'sub'],
        clockTolerance: CLOCK_TOLERANCE_MS,
        ...(config.JWT_ISSUER !== undefined && { allowedIss: config.JWT_ISSUER, requiredClaims: ['exp', 'sub', 'iss'] }),
        ...(config.JWT_AUDIENCE !== undefined && { allowedAud: config.JWT_AUDIENCE })
      }
    })
  }
  const namespaces = app.jwt as unknown as Namespaces
  app.decorate('authentication', new Authentication({
    verifiers: config.keys.flatMap(({ name }) => namespaces[namespaceOf(name)]?.verify ?? []),
    audience: config.JWT_AUDIENCE,
    defaultGrants: config.defaultGrants,
    cookie: config.JWT_COOKIE,
    allowedOrigins: config.allowedOrigins
  }))
}, { name: 'roomcast-jwt', dependencies: ['roomcast-config'] })

function namespaceOf (key: VerificationKey['name']): string {
  return `roomcast_${key}`
}
