import { WebSocket } from 'ws'
import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import type { Client, ConnectOptions } from './client.ts'
import { connect as connectAnywhere } from './index.ts'
import type { WebSocketConstructor } from './websocket-link.ts'

export * from './index.ts'

/**
 * The WebSocket of the ws package: Node has none of its own before version 22, and that one does not show why a handshake
 * was refused.
 */
class NodeWebSocket extends WebSocket {
  refused: number | undefined

  constructor (url: string, protocols: string[]) {
    super(url, protocols)
    this.on('unexpected-response', (_request, response) => {
      if (response.statusCode === 401) this.refused = CLOSE_CODES.unauthorized.code
      if (response.statusCode === 429 || response.statusCode === 503) this.refused = CLOSE_CODES.overloaded.code
      response.resume()
      this.terminate()
    })
  }
}

/** Connects like the `connect` of browsers. In a simulated page (such as that of jsdom) it uses the WebSocket of the page. */
export function connect<Rooms extends object = Record<string, unknown>> (options: ConnectOptions): Client<Rooms> {
  return connectAnywhere<Rooms>(hasPage() ? options : { WebSocket: NodeWebSocket as unknown as WebSocketConstructor, ...options })
}

function hasPage (): boolean {
  return typeof document === 'object' && typeof globalThis.WebSocket === 'function'
}
