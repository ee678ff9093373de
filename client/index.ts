import { Client, type ConnectOptions } from './client.ts'

export { type Client, type ClientEvents, type ConnectOptions, type DataOf } from './client.ts'
export type { Status, StatusReason } from './status.ts'
export { RoomcastError } from './errors.ts'
export type { Transport } from './link.ts'
export type { Published } from './outbox.ts'
export type { HistoryOptions, HistoryPage, Joined, Message, Position, Presence, PublishOptions, Reset, Room, RoomEvents, RoomState } from './room.ts'
export type { TokenProvider } from './token-source.ts'
export type { WebSocketConstructor, WebSocketLike } from './websocket-link.ts'

/**
 * Connects to a service. What is asked of the client before there is a connection waits for it.
 *
 * `Rooms` gives payloads types, by room: `connect<{ lobby: Chat, [orders: `orders:${string}`]: Order }>(…)`.
 */
export function connect<Rooms extends object = Record<string, unknown>> (options: ConnectOptions): Client<Rooms> {
  return new Client<Rooms>(options)
}
