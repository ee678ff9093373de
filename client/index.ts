import { Client } from './client.ts'
import type { ConnectOptions } from './options.ts'

export type { Backoff } from './backoff.ts'
export { type Client, type ClientEvents, type DataOf } from './client.ts'
export type { Clock } from './clock.ts'
export { RoomcastError } from './errors.ts'
export type { Transport } from './link.ts'
export type { EventMessage, Events, EventTypes, HistoryOptions, HistoryPage, Message } from './message.ts'
export type { ConnectOptions, Timeouts } from './options.ts'
export type { Position } from './position.ts'
export type { Published, PublishOptions } from './published.ts'
export type { Joined, JoinOptions, Load, MessagesByEvent, Presence, Reset, RoomEvents, RoomState } from './room-events.ts'
export type { Room } from './room.ts'
export type { Status, StatusReason } from './status.ts'
export type { TokenProvider, TokenRequest } from './token-source.ts'
export type { WebSocketConstructor, WebSocketLike } from './websocket-link.ts'

/**
 * Connects to a service. Requests wait for the connection. Throws `invalid_request` for invalid options.
 *
 * `Rooms` maps the names of rooms to the types of their payloads: `connect<{ lobby: Chat, [orders: `orders:${string}`]: Order }>(…)`.
 */
export function connect<Rooms extends object = Record<string, unknown>> (options: ConnectOptions): Client<Rooms> {
  return new Client<Rooms>(options)
}
