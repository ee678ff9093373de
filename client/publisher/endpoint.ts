import { systemClock } from '../clock.ts'
import { RoomcastError } from '../errors.ts'
import { invalid } from '../payload.ts'
import { readToken, type TokenProvider, TokenSource } from '../token-source.ts'
import { type Answer, post, type Post } from './post.ts'
import { Failure, unlessAborted } from './retry.ts'

/** A token is replaced this long before its `exp`, ms: the service's clock may differ, and the request takes time. */
const TOKEN_MARGIN_MS = 10_000
/** The longest wait for the token function, ms. */
const TOKEN_TIMEOUT_MS = 10_000

/** A request to the service, without its token. */
export interface ServiceRequest extends Omit<Post, 'url'> {
  /** `/v1/…` */
  path: string
}

/** Makes one attempt at a request. */
export type Attempt = (request: ServiceRequest, signal: AbortSignal) => Promise<Answer | Failure>

/** The URL of the service, and the token for it. */
export class Endpoint {
  readonly #base: string
  readonly #tokens: TokenSource

  /** Throws `invalid_request` for an invalid URL or token. */
  constructor (url: string, token: TokenProvider) {
    this.#base = readBase(url)
    if (typeof token !== 'string' && typeof token !== 'function') throw invalid('"token" is a string or a function')
    this.#tokens = new TokenSource(
      typeof token === 'string' ? readToken(token) : token,
      { clock: systemClock, marginMs: TOKEN_MARGIN_MS, timeoutMs: TOKEN_TIMEOUT_MS }
    )
  }

  /** Begins the attempts at a request, which replace a refused token once. */
  begin (): Attempt {
    let hasRenewed = false
    return async (request, signal) => {
      const token = await this.#getToken(signal)
      if (token instanceof Failure) return token
      const result = await this.#post(request, token, signal)
      if (!(result instanceof Failure) || !isTokenRefused(result) || hasRenewed || !this.#tokens.renewable) return result
      hasRenewed = true
      const another = await this.#getToken(signal, token)
      return another instanceof Failure ? another : await this.#post(request, another, signal)
    }
  }

  async #post ({ path, headers, body }: ServiceRequest, token: string, signal: AbortSignal): Promise<Answer | Failure> {
    return await post({ url: this.#base + path, headers: { ...headers, authorization: `Bearer ${token}` }, body }, signal)
  }

  async #getToken (signal: AbortSignal, refused?: string): Promise<string | Failure> {
    try {
      return await unlessAborted(this.#tokens.get(refused), signal)
    } catch (error) {
      const isLate = signal.aborted
      const message = `There is no token: ${error instanceof Error ? error.message : String(error)}`
      return new Failure(new RoomcastError('unauthorized', message, { retryable: isLate, cause: error }), { isWorthRetrying: isLate })
    }
  }
}

/** Whether the service, or a proxy, refused the token. */
function isTokenRefused ({ error: { code } }: Failure): boolean {
  return code === 'unauthorized' || code === 'http_401'
}

function readBase (url: string): string {
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch (error) {
    throw invalid('"url" is the URL of the service', error)
  }
  const { protocol, username, password, search, hash, origin, pathname } = parsed
  if (!/^https?:$/.test(protocol)) throw invalid('"url" starts with http: or https:')
  if (username + password + search + hash !== '') throw invalid('"url" has no user, query or fragment')
  return [origin, ...pathname.split('/').filter((segment) => segment !== '')].join('/')
}
