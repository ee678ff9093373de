import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyRequest } from 'fastify'
import { RoomcastError } from './errors.ts'

/** The subprotocol entry that carries a token: browsers cannot set headers on a WebSocket. */
const BEARER_ENTRY = 'bearer.'

const AUTHORIZATION = 'authorization'

/** Where tokens may stand. */
export interface TokenPlaces {
  /** `?token=`: on sockets, where there is no other way; URLs end up in logs. */
  query: boolean
  /** The name of a cookie. */
  cookie: string | undefined
}

export interface FoundToken {
  token: string
  /** It came by itself, with the browser's cookies. */
  fromCookie: boolean
}

/** The subprotocols that a client offers (RFC 6455, section 11.3.4), in its order. */
export function offeredProtocols ({ headers }: { headers: IncomingHttpHeaders }): string[] {
  const header = headers['sec-websocket-protocol'] ?? ''
  return header.split(',').map((entry) => entry.trim()).filter((entry) => entry !== '')
}

export function isBearerEntry (entry: string): boolean {
  return entry.startsWith(BEARER_ENTRY)
}

/** The token of a request; throws `unauthorized` where there is none, or more than one was put there on purpose. */
export function findToken (request: FastifyRequest, places: TokenPlaces): FoundToken {
  const tokens: string[] = []
  const { rawHeaders } = request.raw
  for (let i = 0; i < rawHeaders.length; i += 2) { // `headers` has the first one only.
    const name = rawHeaders[i] as string
    if (name.length !== AUTHORIZATION.length || name.toLowerCase() !== AUTHORIZATION) continue
    // RFC 6750, section 2.1; the scheme is case-insensitive (RFC 9110, section 11.1).
    const match = /^Bearer +(\S+) *$/i.exec(rawHeaders[i + 1] as string)
    if (match === null) throw new RoomcastError('unauthorized', 'The Authorization header has to be "Bearer <token>"')
    tokens.push(match[1] as string)
  }
  for (const entry of offeredProtocols(request)) {
    if (isBearerEntry(entry)) tokens.push(entry.slice(BEARER_ENTRY.length))
  }
  if (places.query) {
    const { token } = request.query as { token?: string | string[] }
    if (token !== undefined) tokens.push(...[token].flat())
  }
  if (tokens.length > 1) throw new RoomcastError('unauthorized', 'There is more than one token')
  const [token] = tokens
  if (token !== undefined) return { token, fromCookie: false }

  const cookie = places.cookie === undefined ? undefined : readCookie(request.headers.cookie ?? '', places.cookie)
  if (cookie === undefined) throw new RoomcastError('unauthorized', 'There is no token')
  return { token: cookie, fromCookie: true }
}

/** The value of a cookie (RFC 6265, section 4.2.1). A JWT needs no escapes. */
function readCookie (header: string, name: string): string | undefined {
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=')
    if (equals !== -1 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
  }
  return undefined
}
