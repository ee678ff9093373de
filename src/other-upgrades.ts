import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'

type Listener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/** Headers of the one hop that asked for the upgrade (RFC 9110, section 7.8; RFC 7540, section 3.2.1). */
const UPGRADE_HEADERS = new Set(['upgrade', 'connection', 'http2-settings'])

/**
 * Has a server ignore upgrades to anything but a WebSocket, as RFC 9110, section 7.8 lets it: Java's HttpClient and
 * `curl --http2` ask for `h2c` with every request to a plain-text server. Node gives such a request to the
 * `upgrade` listeners without its body; here it is put back, without the headers that asked, and read again.
 *
 * Call it when the listeners are there.
 *
 * @param connection the event by which the server takes a socket: `secureConnection` for TLS
 */
export function ignoreOtherUpgrades (server: Server, connection: 'connection' | 'secureConnection'): void {
  const listeners = server.listeners('upgrade') as Listener[]
  server.removeAllListeners('upgrade')
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (request.headers.upgrade?.toLowerCase() === 'websocket') {
      for (const listener of listeners) listener.call(server, request, socket, head)
      return
    }
    socket.unshift(Buffer.concat([Buffer.from(writeRequest(request), 'latin1'), head]))
    server.emit(connection, socket)
  })
}

function writeRequest ({ method, url, httpVersion, rawHeaders }: IncomingMessage): string {
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (!UPGRADE_HEADERS.has(name.toLowerCase())) text += `${name}: ${rawHeaders[i + 1]}\r\n`
  }
  return `${text}\r\n`
}
