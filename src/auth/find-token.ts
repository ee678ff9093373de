import { RoomcastError } from '../errors.ts'
import { readBearerEntry } from '../protocol/subprotocol.ts'

const AUTHORIZATION = 'authorization'
/** The scheme, in any case (RFC 9110, section 11.1), and not a longer name. */
const BEARER = /^\s*Bearer(?![!#$%&'*+.^_`|~\w-])/i

/** The parts of a request that may carry a token. */
export interface TokenSources {
  /** Names and values in turn, as Node reads them; `headers` keeps only the first `Authorization`. */
  readonly rawHeaders: readonly string[]
  /** The offered subprotocols. */
  readonly protocols: readonly string[]
  /** The value or values of `?token=`; undefined where the route does not accept tokens in its URL. */
  readonly query: string | string[] | undefined
  /** The `Cookie` header. */
  readonly cookie: string | undefined
}

/** A token, and whether the browser added it automatically, as a cookie. */
export interface FoundToken {
  token: string
  fromCookie: boolean
}

/**
 * Finds the token of a request; throws `unauthorized` if there is none, or more than one outside the cookies.
 *
 * A header with another scheme than Bearer is not for this service: a browser adds `Authorization: Basic` to every request to a
 * site with a password, also to the handshake of a WebSocket. It only matters where there is no token.
 *
 * @param cookieName the cookie that may carry a token; undefined for none
 */
export function findToken ({ rawHeaders, protocols, query, cookie }: TokenSources, cookieName: string | undefined): FoundToken {
  const tokens: string[] = []
  let hasOtherScheme = false
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const [name = '', value = ''] = [rawHeaders[i], rawHeaders[i + 1]]
    if (name.length !== AUTHORIZATION.length || name.toLowerCase() !== AUTHORIZATION) continue
    if (BEARER.test(value)) tokens.push(readBearer(value))
    else hasOtherScheme = true
  }
  for (const entry of protocols) {
    const token = readBearerEntry(entry)
    if (token !== undefined) tokens.push(token)
  }
  if (query !== undefined) tokens.push(...[query].flat())
  if (tokens.length > 1) throw new RoomcastError('unauthorized', 'There is more than one token')
  const [token] = tokens
  if (token !== undefined) return { token, fromCookie: false }

  const stored = cookieName === undefined ? undefined : readCookie(cookie ?? '', cookieName)
  if (stored === undefined) throw hasOtherScheme ? notBearer() : new RoomcastError('unauthorized', 'There is no token')
  return { token: stored, fromCookie: true }
}

/** The token of an `Authorization` header (RFC 6750, section 2.1). A header with the scheme and without a usable token is a mistake. */
function readBearer (value: string): string {
  const token = /^Bearer +(\S+) *$/i.exec(value)?.[1]
  if (token === undefined) throw notBearer()
  return token
}

function notBearer (): RoomcastError {
  return new RoomcastError('unauthorized', 'The Authorization header has to be "Bearer <token>"')
}

/** The value of a cookie (RFC 6265, section 4.2.1). A JWT needs no escapes. */
function readCookie (header: string, name: string): string | undefined {
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=')
    if (equals !== -1 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
  }
  return undefined
}
