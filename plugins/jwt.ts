import fastifyJwt from '@fastify/jwt'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { RoomcastError } from '../src/errors.ts'
import { isOriginAllowed } from '../src/origins.ts'
import { type Claims, identify, type Identity, InvalidClaims } from '../src/rooms/identity.ts'
import { findToken } from '../src/token.ts'
import { CLOCK_TOLERANCE_MS, VerifiedTokens } from '../src/verified-tokens.ts'

declare module 'fastify' {
  interface FastifyInstance {
    authentication: Authentication
  }
  interface FastifyRequest {
    /** Set by `authentication.required`. The name is one that the application around it will not have. */
    roomcastIdentity: Identity | null
  }
  interface FastifyContextConfig {
    /** `?token=` is accepted: a browser's `EventSource` cannot set headers. */
    tokenInQuery?: boolean
  }
}

export interface Authentication {
  /** Who a token stands for; throws `unauthorized`. */
  verify: (token: string) => Identity
  /** A hook: the request goes on with `request.roomcastIdentity`, or is answered with 401. */
  required: (request: FastifyRequest, reply: FastifyReply) => Promise<void>
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])

/** One of the verifiers that `@fastify/jwt` makes, one per key: each is pinned to its key's algorithms. */
interface Verifier {
  verify: (token: string) => Claims
}

/** `fastify.authentication`: tokens are verified, on REST and before a socket is upgraded. */
export default fp(async (app) => {
  const { config } = app
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
  const namespaces = app.jwt as unknown as Record<string, Verifier>
  const verifiers = config.keys.map(({ name }) => namespaces[namespaceOf(name)] as Verifier)
  // Not fast-jwt's own cache: it hashes the token each time, which takes longer than the rest of a small request.
  const verified = new VerifiedTokens()

  const verify = (token: string): Identity => {
    const known = verified.get(token)
    if (known !== undefined) return known
    const identity = toIdentity(verifyWithAny(verifiers, token), config.JWT_AUDIENCE, config.defaultGrants)
    verified.add(token, identity)
    return identity
  }

  app.decorateRequest('roomcastIdentity', null)
  app.decorate('authentication', {
    verify,
    required: async (request) => {
      const { token, fromCookie } = findToken(request, { query: request.ws || request.routeOptions.config.tokenInQuery === true, cookie: config.JWT_COOKIE })
      const { origin } = request.headers
      // A browser sends its cookies whoever makes it call: a page from elsewhere must not.
      if (fromCookie && origin !== undefined && !SAFE_METHODS.has(request.method) && !isOriginAllowed(config, origin)) {
        throw new RoomcastError('origin_forbidden')
      }
      request.roomcastIdentity = verify(token)
    }
  })
}, { name: 'roomcast-jwt', dependencies: ['roomcast-config'] })

function namespaceOf (key: string): string {
  return `roomcast_${key}`
}

/** The claims, if any of the keys made the signature. What the libraries throw is 401 whatever their own status says. */
function verifyWithAny (verifiers: Verifier[], token: string): Claims {
  let reason = 'The token is not valid'
  for (const { verify } of verifiers) {
    try {
      return verify(token)
    } catch (error) {
      // Each key says why it is not the one; what is wrong with the claims says only the one that is.
      const { code, message } = error as { code?: unknown, message?: unknown }
      if (typeof code === 'string' && /EXPIRED|INACTIVE|CLAIM/.test(code) && typeof message === 'string') reason = message
    }
  }
  throw new RoomcastError('unauthorized', reason)
}

function toIdentity (claims: Claims & { aud?: unknown }, audience: string | undefined, defaultGrants: unknown): Identity {
  if (audience !== undefined && claims.aud === undefined) throw new RoomcastError('unauthorized', 'The aud claim is required.')
  try {
    return identify(claims, defaultGrants)
  } catch (error) {
    if (error instanceof InvalidClaims) throw new RoomcastError('unauthorized', `The token is not valid: ${error.message}`)
    throw error
  }
}
