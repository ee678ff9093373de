import { RoomcastError } from '../errors.ts'
import { findToken, type TokenSources } from './find-token.ts'
import { type Claims, identify, type Identity, InvalidClaims } from './identity.ts'
import { type AllowedOrigins, isOriginAllowed } from './origins.ts'
import { TokenCache } from './token-cache.ts'

/** The accepted difference between clocks, ms. */
export const CLOCK_TOLERANCE_MS = 5_000

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Verifies tokens with one key; throws for a token that the key did not sign, or whose claims are wrong. */
export type Verify = (token: string) => Claims

/** The verification of tokens, and the places where they may be. */
export interface AuthenticationOptions {
  /** One for each key; a token is tried with each. */
  verifiers: readonly Verify[]
  /** The audience that tokens must have. */
  audience: string | undefined
  /** Grants of tokens without a `rooms` claim. */
  defaultGrants: unknown
  /** The cookie that may carry a token. */
  cookie: string | undefined
  allowedOrigins: AllowedOrigins
}

/** The parts of a request that identify its caller. */
export interface Credentials extends TokenSources {
  readonly method: string
  /** The `Origin` header, which browsers set. */
  readonly origin: string | undefined
}

/** Identifies callers by their tokens. */
export class Authentication {
  readonly #options: AuthenticationOptions
  // fast-jwt's own cache hashes the token each time, which takes longer than the rest of a small request.
  readonly #cache = new TokenCache(CLOCK_TOLERANCE_MS)

  constructor (options: AuthenticationOptions) {
    this.#options = options
  }

  /** The identity of a request; throws `unauthorized`, or `origin_forbidden` for a cookie that a foreign page sent. */
  identify (credentials: Credentials): Identity {
    const { cookie, allowedOrigins } = this.#options
    const { token, fromCookie } = findToken(credentials, cookie)
    const { method, origin } = credentials
    // A browser sends its cookies with every page's requests.
    if (fromCookie && origin !== undefined && !SAFE_METHODS.has(method) && !isOriginAllowed(allowedOrigins, origin)) {
      throw new RoomcastError('origin_forbidden')
    }
    return this.verify(token)
  }

  /** The identity of a token; throws `unauthorized`. */
  verify (token: string): Identity {
    const cached = this.#cache.get(token)
    if (cached !== undefined) return cached
    const { verifiers, audience, defaultGrants } = this.#options
    const identity = toIdentity(verifyWithAny(verifiers, token), audience, defaultGrants)
    this.#cache.add(token, identity)
    return identity
  }
}

/** Verifies a token with each key in turn. Every error of the libraries becomes a 401, also one with another status. */
function verifyWithAny (verifiers: readonly Verify[], token: string): Claims {
  let reason = 'The token is not valid'
  for (const verify of verifiers) {
    try {
      return verify(token)
    } catch (error) {
      // Every other key reports a wrong signature; only the key that signed the token reports faults of its claims.
      const { code, message } = error as { code?: unknown, message?: unknown }
      if (typeof code === 'string' && /EXPIRED|INACTIVE|CLAIM/.test(code) && typeof message === 'string') reason = message
    }
  }
  throw new RoomcastError('unauthorized', reason)
}

function toIdentity (claims: Claims, audience: string | undefined, defaultGrants: unknown): Identity {
  if (audience !== undefined && claims.aud === undefined) throw new RoomcastError('unauthorized', 'The aud claim is required.')
  try {
    return identify(claims, defaultGrants)
  } catch (error) {
    if (error instanceof InvalidClaims) throw new RoomcastError('unauthorized', `The token is not valid: ${error.message}`)
    throw error
  }
}
