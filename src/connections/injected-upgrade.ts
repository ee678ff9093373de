import { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

/**
 * Completes the request that `injectWS` of `@fastify/websocket` passes to the `upgrade` listeners: a plain object with a
 * method, a URL and headers, where Fastify and the routes expect a request of Node. A listener for `upgrade`.
 */
export function completeInjectedUpgrade (request: IncomingMessage, socket: Duplex): void {
  if (request instanceof IncomingMessage) return
  const injected = request as IncomingMessage
  const headers = Object.entries(injected.headers).map(([name, value]) => [name.toLowerCase(), String(value)] as const)
  injected.headers = Object.fromEntries(headers)
  // The socket is a stream in memory. Fastify's `inject` pretends this address, too.
  const real = new IncomingMessage(Object.assign(socket, { remoteAddress: '127.0.0.1' }) as never)
  real.rawHeaders = headers.flat()
  Object.setPrototypeOf(injected, real)
}
