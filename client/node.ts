import { WebSocket as WebSocketOfNode } from 'ws'
import type { Client, ConnectOptions } from './client.ts'
import { connect as connectAnywhere } from './index.ts'
import type { WebSocketConstructor } from './websocket-link.ts'

export * from './index.ts'

/** The same as in browsers; Node has no WebSocket of its own before version 22. */
export function connect<Rooms extends object = Record<string, unknown>> (options: ConnectOptions): Client<Rooms> {
  return connectAnywhere<Rooms>({ WebSocket: (globalThis.WebSocket ?? WebSocketOfNode) as unknown as WebSocketConstructor, ...options })
}
