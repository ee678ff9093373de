import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/**
 * A request that is an upgrade only if it can become a WebSocket. Other offers are ignored, as RFC 9110, section 7.8
 * allows. Java's HttpClient and `curl --http2` offer `h2c` with every request to a plain-text server. Node would give all
 * such requests to the `upgrade` listeners, without their bodies.
 *
 * Node sets `upgrade` for each request with such a header, and reads it again to decide. An offer in HTTP/1.0 does not
 * count. Nor does an offer that arrives before the previous request is answered, because the socket is not free: the route
 * answers it, in its turn.
 */
export class UpgradeRequest extends IncomingMessage {
  declare private offered: boolean | null
  declare private accepted: boolean | undefined

  get upgrade (): boolean {
    if (this.offered !== true) return false
    this.accepted ??= this.method === 'GET' && this.httpVersion === '1.1' && this.headers.upgrade?.toLowerCase() === 'websocket' &&
      (this.socket as Socket & { _httpMessage?: unknown })._httpMessage == null
    return this.accepted
  }

  set upgrade (offered: boolean | null) {
    this.offered = offered
  }
}
