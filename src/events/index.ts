import type { Position } from '../protocol/position.ts'
import { Event } from './event.ts'

/** The part of every payload that tells apart several services in one process. */
interface FromInstance {
  /** The id of the instance: `app.roomcast.hub.instance`. */
  instance: string
}

/** A connection, in payloads. */
interface OfConnection extends FromInstance {
  /** The connection's id. */
  connection: string
  /** The `sub` of its token. */
  user: string
}

/** A connection was opened. */
export interface ConnectionOpened extends OfConnection {
  /** The client's own name across its connections. */
  origin: string
  transport: 'websocket' | 'events'
  /** The number of open connections, this one included. */
  connections: number
}

/** The socket of a connection was closed. */
export interface ConnectionClosed extends OfConnection {
  /**
   * The name of the server's close code (docs/errors.md), such as `slowConsumer`; undefined if the client or the network
   * ended the connection.
   */
  reason: string | undefined
  /** The close code that the client sent; 1006 for none. Undefined on event streams. */
  code: number | undefined
  /** The number of open connections, without this one. */
  connections: number
}

/** A connection joined or left a room. */
export interface RoomMembership extends OfConnection {
  /** The room's real name: `@user:<name>` for a user's own room. */
  room: string
  /** The room's connections on this instance after the event. */
  members: number
}

/** A room got its first connection on this instance, or lost the last one. */
export interface RoomOccupancy extends FromInstance {
  room: string
}

/** The broker has accepted a message. */
export interface MessagePublished extends FromInstance {
  room: string
  /** The publisher's user. */
  from: string
  /** The id of the publishing connection; undefined for REST and the application. */
  connection: string | undefined
  /** Undefined in rooms without history. */
  position: Position | undefined
  /** The broker's clock, ms since 1970. */
  time: number
  /** Whether this was a retry of an earlier publish. */
  replayed: boolean
  /** Size of the encoded message. */
  bytes: number
}

/** A batch with messages was written to all members of a room on this instance. */
export interface MessageDelivered extends FromInstance {
  room: string
  /** Messages in the batch. */
  messages: number
  /** Bytes of the batch on a WebSocket; notices may be among them. */
  bytes: number
  /** Members on this instance. */
  members: number
  /** The room's position after the batch; undefined in rooms without history. */
  position: Position | undefined
}

/** Messages of a room were lost between the broker and this instance. */
export interface GapFound extends FromInstance {
  room: string
  /** The position of the latest delivered message. */
  position: Position
}

/** A gap is over. */
export interface GapClosed extends FromInstance {
  room: string
  /**
   * `filled`: all missing messages were delivered. `reset`: the members received a `reset`. `abandoned`: the
   * members left meanwhile.
   */
  outcome: 'filled' | 'reset' | 'abandoned'
  /** Messages that history delivered. */
  messages: number
}

/** The members of a room received a `reset` because of an unrecoverable gap. */
export interface RoomReset extends FromInstance {
  room: string
  /** The position after which messages follow. */
  position: Position
  reason: 'epoch' | 'history'
}

/** A graceful shutdown began to close connections, or has closed all. */
export interface Drain extends FromInstance {
  /** Open connections: at the beginning; at the end, those that are destroyed. */
  connections: number
}

/**
 * The events of the service: the one place where metrics, logs, webhooks and traces observe it. A payload is valid during the
 * call; `docs/embedding.md` lists the names.
 */
export const events = {
  connectionOpened: new Event<ConnectionOpened>('roomcast:connection:opened'),
  connectionClosed: new Event<ConnectionClosed>('roomcast:connection:closed'),
  roomJoined: new Event<RoomMembership>('roomcast:room:joined'),
  roomLeft: new Event<RoomMembership>('roomcast:room:left'),
  roomOccupied: new Event<RoomOccupancy>('roomcast:room:occupied'),
  roomVacated: new Event<RoomOccupancy>('roomcast:room:vacated'),
  roomReset: new Event<RoomReset>('roomcast:room:reset'),
  messagePublished: new Event<MessagePublished>('roomcast:message:published'),
  messageDelivered: new Event<MessageDelivered>('roomcast:message:delivered'),
  gapFound: new Event<GapFound>('roomcast:gap:found'),
  gapClosed: new Event<GapClosed>('roomcast:gap:closed'),
  drainBegan: new Event<Drain>('roomcast:drain:began'),
  drainEnded: new Event<Drain>('roomcast:drain:ended')
} as const
