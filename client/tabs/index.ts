import { type Client, connect as connectAlone, type ConnectOptions, type WebSocketConstructor } from '../index.ts'
import { sharedWebSocket } from './port-websocket.ts'

export * from '../index.ts'

/** The options of a client that shares its connection. */
export interface TabsOptions extends ConnectOptions {
  /**
   * The script of the worker, `@roomcast/client/tabs/worker`: its URL, or a function that starts it. All tabs must use the same
   * URL, name and type.
   */
  worker: string | URL | (() => SharedWorker)
}

/**
 * Connects like the `connect` of `@roomcast/client`. All tabs of an origin with the same user share one WebSocket. Where there
 * is no `SharedWorker`, or it does not start, the client has its own connection.
 */
export function connect<Rooms extends object = Record<string, unknown>> ({ worker, ...options }: TabsOptions): Client<Rooms> {
  const WebSocket = options.WebSocket ?? globalThis.WebSocket as WebSocketConstructor | undefined
  if (typeof SharedWorker === 'undefined' || WebSocket === undefined) return connectAlone<Rooms>(options)
  const start = typeof worker === 'function' ? worker : () => new SharedWorker(worker, { name: 'roomcast' })
  return connectAlone<Rooms>({ ...options, WebSocket: sharedWebSocket({ start, WebSocket }) })
}
