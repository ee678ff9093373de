/** The subprotocol of clients that want a `welcome` frame. */
export const SUBPROTOCOL = 'roomcast.v1'

/** Starts the subprotocol entry that carries a token: browsers cannot set headers on a WebSocket. */
const BEARER_ENTRY = 'bearer.'

/** The entries of a `Sec-WebSocket-Protocol` header (RFC 6455, section 11.3.4), in the client's order; empty entries are invalid. */
export function readProtocols (header: string | undefined): string[] {
  return header === undefined ? [] : header.split(',').map((entry) => entry.trim())
}

/** The token of a `bearer.<token>` entry; undefined for other subprotocols. */
export function readBearerEntry (entry: string): string | undefined {
  return entry.startsWith(BEARER_ENTRY) ? entry.slice(BEARER_ENTRY.length) : undefined
}
