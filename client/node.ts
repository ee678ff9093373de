import type { IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import type { Client, ConnectOptions } from './client.ts'
import { connect as connectAnywhere } from './index.ts'
import { codeOfRefusal } from './refusal.ts'
import type { WebSocketConstructor } from './websocket-link.ts'

export * from './index.ts'

/** Longer than any problem document of the service, characters. */
const MAX_PROBLEM = 4_096

/**
 * The WebSocket of the ws package: Node has none of its own before version 22, and that one does not show why a handshake
 * was refused.
 */
class NodeWebSocket extends WebSocket {
  refused: number | undefined

  constructor (url: string, protocols: string[]) {
    super(url, protocols)
    this.on('unexpected-response', (_request, response) => {
      const { statusCode = 0 } = response
      void readCode(response).then((code) => {
        this.refused = codeOfRefusal(statusCode, code)
        this.terminate()
      })
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

/** The code of the problem document of a 429, which has two reasons; undefined for other answers. */
async function readCode (response: IncomingMessage): Promise<string | undefined> {
  if (response.statusCode !== 429) {
    response.resume()
    return undefined
  }
  let text = ''
  try {
    for await (const chunk of response.setEncoding('utf8')) {
      text += chunk
      if (text.length > MAX_PROBLEM) return undefined
    }
    return (JSON.parse(text) as { code?: string }).code
  } catch {
    return undefined
  }
}
