import { Client, type ConnectOptions } from './client.ts'

export { type Client, type ClientEvents, type ConnectOptions, type DataOf } from './client.ts'
export { RoomcastError } from './errors.ts'
export type { Transport } from './link.ts'
export type { HistoryOptions, HistoryPage, Message } from './message.ts'
export type { Position } from './position.ts'
export type { Published, PublishOptions } from './published.ts'
export type { Joined, Presence, Reset, RoomEvents, RoomState } from './room-events.ts'
export type { Room } from './room.ts'
export type { Status, StatusReason } from './status.ts'
export type { TokenProvider } from './token-source.ts'
export type { WebSocketConstructor, WebSocketLike } from './websocket-link.ts'

/**
 * Connects to a service. Requests wait for the connection.
 *
 * `Rooms` maps the names of rooms to the types of their payloads: `connect<{ lobby: Chat, [orders: `orders:${string}`]: Order }>(…)`.
 */
export function connect<Rooms extends object = Record<string, unknown>> (options: ConnectOptions): Client<Rooms> {
  return new Client<Rooms>(options)
}
