import type { IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import type { Client } from './client.ts'
import { connect as connectAnywhere } from './index.ts'
import type { ConnectOptions } from './options.ts'
import { codeOfRefusal } from './refusal.ts'
import type { WebSocketConstructor } from './websocket-link.ts'

export * from './index.ts'

/** Longer than any problem document of the service, characters. */
const MAX_PROBLEM = 4_096
/** The longest wait for the other side's end of a WebSocket: a dead one keeps the process alive so long, ms. */
const CLOSE_MS = 2_000

/**
 * Connects like the `connect` of browsers. In a simulated page (such as that of jsdom) it uses the WebSocket of the page.
 *
 * The options `headers`, `agent` and `ca` apply to WebSockets; `headers` apply to event streams as well.
 */
export function connect<Rooms extends object = Record<string, unknown>> (options: ConnectOptions): Client<Rooms> {
  if (hasPage()) return connectAnywhere<Rooms>(options)
  const { headers, agent, ca, transports = ['websocket', 'events'], fetch = globalThis.fetch } = options
  // The global fetch knows neither an agent nor certificates: the streams would go another way than the WebSocket.
  const isWebSocketOnly = (agent !== undefined || ca !== undefined) && options.fetch === undefined
  return connectAnywhere<Rooms>({
    WebSocket: makeWebSocket(options),
    ...options,
    transports: isWebSocketOnly && Array.isArray(transports) ? transports.filter((name) => name === 'websocket') : transports,
    ...(headers !== undefined && {
      fetch: async (input, init) => {
        const all = new Headers(headers)
        // The names may differ in case: fetch would join the values.
        for (const [name, value] of new Headers(init?.headers)) all.set(name, value)
        return await fetch(input, { ...init, headers: all })
      }
    })
  })
}

/**
 * The WebSocket of the ws package: Node has none of its own before version 22, and that one does not show why a handshake
 * was refused.
 */
function makeWebSocket ({ headers, agent, ca }: ConnectOptions): WebSocketConstructor {
  const options = { headers: { ...headers }, agent, ca, closeTimeout: CLOSE_MS } as ConstructorParameters<typeof WebSocket>[2]

  class NodeWebSocket extends WebSocket {
    refused: number | undefined
    cause: Error | undefined

    constructor (url: string, protocols: string[]) {
      super(url, protocols, options)
      this.on('unexpected-response', (_request, response) => {
        const { statusCode = 0 } = response
        this.cause = new Error(`The service answered with ${statusCode} ${response.statusMessage ?? ''}`.trim())
        void readCode(response).then((code) => {
          this.refused = codeOfRefusal(statusCode, code)
          this.terminate()
        })
      })
      this.on('error', (error) => { this.cause ??= error })
    }
  }
  return NodeWebSocket as unknown as WebSocketConstructor
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
