import type { Duplex } from 'node:stream'
import type { WebSocket, WebSocketServer } from 'ws'
import type { Identity } from '../auth/identity.ts'
import { Inbox } from '../commands/inbox.ts'
import { type ErrorCode, RoomcastError, toRoomcastError } from '../errors.ts'
import type { Connection } from '../hub/connection.ts'
import type { Hub } from '../hub/hub.ts'
import { CLOSE_CODES, CLOSE_TEXTS, type CloseReason } from '../protocol/close-codes.ts'
import { AUTOMATIC_ROOMS } from '../protocol/names.ts'
import { SUBPROTOCOL } from '../protocol/subprotocol.ts'
import { joinedFrame, type OnJoined } from '../rooms/joined.ts'
import type { Memberships } from '../rooms/membership.ts'
import type { RoomsFor } from '../rooms/rooms.ts'
import { WebSocketTransport } from '../transport/websocket.ts'
import { setLimits } from '../transport/ws-internals.ts'
import type { Connections } from './connections.ts'
import type { Handshake } from './handshake.ts'

/** The parts and settings that WebSocket connections are made with. */
export interface WebSocketsOptions {
  hub: Hub
  roomsFor: RoomsFor
  memberships: Memberships
  connections: Connections
  /** Size of a message; 0 is no limit. */
  maxMessageBytes: number
  /** Messages a second from one connection; 0 is no limit. */
  messageRate: number
  messageBurst: number
  /** Receives internal errors. */
  onError: (error: unknown) => void
}

/** The key of a socket's inbox, for its listeners: they are the same functions for all sockets. */
const kInbox = Symbol('roomcast.inbox')
type Attached = WebSocket & { [kInbox]: Inbox }

/** The close codes of refusals after the 101, where there is no status any more. */
const CLOSE_REASONS: Partial<Record<ErrorCode, CloseReason>> = {
  unauthorized: 'unauthorized',
  draining: 'goingDown',
  overloaded: 'overloaded',
  connection_limit: 'connectionLimit'
}

/** The close codes that ws sends for a client's faults (RFC 6455, section 7.4.1), by the code of its error; 1002 for all others. */
const WS_FAULTS: Readonly<Record<string, CloseReason>> = {
  WS_ERR_INVALID_UTF8: 'invalidUtf8',
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 'unfinishedMessage',
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 'tooBig',
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'tooBig'
}

/** Makes connections of WebSockets, and passes their frames to the commands. */
export class WebSockets {
  readonly #options: WebSocketsOptions
  readonly #onMessage: (this: WebSocket, data: Buffer, isBinary: boolean) => void
  readonly #onHeartbeat: (this: WebSocket) => void
  readonly #onClose: (this: WebSocket, code: number) => void

  constructor (options: WebSocketsOptions) {
    const { hub, connections, onError } = options
    this.#options = options
    this.#onMessage = function (data, isBinary) {
      const inbox = (this as Attached)[kInbox]
      inbox.connection.heard = hub.tick
      // An exception in a listener would end the process.
      try {
        inbox.receive(data, isBinary)
      } catch (error) {
        onError(error)
        inbox.connection.close('internal')
      }
    }
    this.#onHeartbeat = function () {
      const inbox = (this as Attached)[kInbox]
      inbox.connection.heard = hub.tick
      inbox.heartbeat()
    }
    this.#onClose = function (code) { connections.closed((this as Attached)[kInbox].connection, code) }
  }

  /**
   * Takes a socket over from ws and its server, before anything is read from it. Releases the request and the response,
   * which the socket and the plugin's error listener would keep for its lifetime.
   */
  adopt (ws: WebSocket, server: WebSocketServer, socket: Duplex): void {
    setLimits(ws, this.#options.maxMessageBytes)
    // When the application closes, the server would close the socket without a reason, and a listener would wait for its end.
    server.clients?.delete(ws)
    ws.removeAllListeners('close')
    const { _httpMessage: response } = socket as unknown as { _httpMessage?: { detachSocket (socket: Duplex): void } | null }
    response?.detachSocket(socket)
    ws.removeAllListeners('error').on('error', onError)
  }

  /** Closes a socket whose connection is refused after the 101. */
  refuse (ws: WebSocket, { code }: RoomcastError): void {
    const reason = CLOSE_REASONS[code] ?? 'internal'
    ws.close(CLOSE_CODES[reason], CLOSE_TEXTS[reason])
  }

  /** Opens a connection; synchronously, because after an await the first message would be lost. */
  open (ws: WebSocket, socket: Duplex, identity: Identity, handshake: Handshake): void {
    const { roomsFor, memberships, connections, messageRate, messageBurst, onError } = this.#options
    const connection = connections.open(new WebSocketTransport(ws, socket), identity, handshake.origin)
    const inbox = new Inbox({
      connection, identity, rooms: roomsFor(identity), memberships, source: ws, messageRate, messageBurst, onError
    })
    ;(ws as Attached)[kInbox] = inbox
    ws.on('message', this.#onMessage).on('ping', this.#onHeartbeat).on('pong', this.#onHeartbeat).on('close', this.#onClose)
    inbox.hold(this.#enter(connection, identity, handshake, ws.protocol === SUBPROTOCOL))
  }

  /** Joins the automatic rooms, and the rooms of the URL. */
  async #enter (connection: Connection, identity: Identity, { rooms, since }: Handshake, welcome: boolean): Promise<void> {
    const { connections, memberships, onError } = this.#options
    await connections.enter(connection, identity, AUTOMATIC_ROOMS, welcome)
    for (const name of rooms) {
      const answer: OnJoined = (joined) => { connection.send(joinedFrame(joined)) }
      if (connection.ended) return
      await memberships.join(connection, identity, name, answer, { since }).catch((error: unknown) => {
        if (!(error instanceof RoomcastError)) onError(error)
        connection.sendError(toRoomcastError(error))
      })
    }
  }
}

/** Handles the failure of a socket. If a frame breaks the protocol, ws has already sent the close code. */
function onError (this: WebSocket, { code }: Error & { code?: string }): void {
  const connection = (this as Partial<Attached>)[kInbox]?.connection
  if (connection === undefined || code?.startsWith('WS_ERR_') !== true) return
  connection.failed(WS_FAULTS[code] ?? 'malformedFrame')
}
