import { randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { Inbox } from './commands/inbox.ts'
import type { Config } from './config.ts'
import { RoomcastError, toRoomcastError } from './errors.ts'
import { Connection } from './hub/connection.ts'
import type { Hub } from './hub/hub.ts'
import { ALL_ROOM, SUBPROTOCOL, USER_ALIAS } from './protocol/names.ts'
import type { Identity } from './rooms/identity.ts'
import type { Joined, Rooms } from './rooms/rooms.ts'
import { WebSocketTransport } from './transport/websocket.ts'

/** A connection outlives its token by this much, ms. */
const EXPIRY_GRACE_MS = 10_000

/** What a client asked for in the URL. */
export interface Parameters {
  rooms: string[]
  origin: string | undefined
}

export interface SocketsOptions {
  config: Config
  hub: Hub
  rooms: Rooms
  /** Told what is our fault. */
  onError: (error: unknown) => void
}

/** What the listeners of a socket find on it: they are the same functions for all sockets. */
const kInbox = Symbol('roomcast.inbox')
type Attached = WebSocket & { [kInbox]: Inbox }

/** Makes connections of WebSockets, and lets their frames in. */
export class Sockets {
  readonly #options: SocketsOptions
  readonly #onMessage: (this: WebSocket, data: Buffer, isBinary: boolean) => void
  readonly #onSign: (this: WebSocket) => void
  readonly #onClose: (this: WebSocket) => void
  readonly #onEnd: (connection: Connection) => void

  constructor (options: SocketsOptions) {
    const { hub, rooms, onError } = options
    this.#options = options
    this.#onMessage = function (data, isBinary) {
      const inbox = (this as Attached)[kInbox]
      inbox.connection.heard = hub.tick
      // What is thrown in a listener would end the process.
      try {
        inbox.receive(data, isBinary)
      } catch (error) {
        onError(error)
        inbox.connection.close('internal')
      }
    }
    this.#onSign = function () {
      const inbox = (this as Attached)[kInbox]
      inbox.connection.heard = hub.tick
      inbox.sign()
    }
    this.#onClose = function () {
      const { connection } = (this as Attached)[kInbox]
      connection.end()
      hub.remove(connection)
    }
    this.#onEnd = (connection) => { rooms.disconnect(connection) }
  }

  /** Opens a connection; synchronous, for after an await the first message would be lost. */
  open (ws: WebSocket, socket: Duplex, identity: Identity, parameters: Parameters): void {
    const { config, hub, rooms, onError } = this.#options
    const id = randomUUID()
    const connection = new Connection({
      id,
      origin: parameters.origin ?? id,
      user: identity.user,
      expiresAt: Math.min(identity.expiresAt, Date.now() + config.MAX_TOKEN_LIFETIME_SECONDS * 1_000) + EXPIRY_GRACE_MS,
      transport: new WebSocketTransport(ws, socket),
      maxQueueBytes: config.MAX_QUEUE_BYTES,
      onEnd: this.#onEnd
    })
    const inbox = new Inbox({
      connection,
      identity,
      rooms,
      source: ws,
      messageRate: config.MESSAGE_RATE,
      messageBurst: config.MESSAGE_BURST,
      onError
    })
    ;(ws as Attached)[kInbox] = inbox
    ws.on('message', this.#onMessage).on('ping', this.#onSign).on('pong', this.#onSign).on('close', this.#onClose)
    hub.add(connection)
    inbox.hold(this.#enter(inbox, parameters.rooms, ws.protocol === SUBPROTOCOL))
  }

  /** Joins the automatic rooms, says welcome to who wants it, and joins the rooms of the URL. */
  async #enter (inbox: Inbox, names: string[], welcome: boolean): Promise<void> {
    const { config, rooms, onError } = this.#options
    const { connection, identity } = inbox
    const automatic: Joined[] = []
    for (const name of [USER_ALIAS, ALL_ROOM]) await rooms.join(connection, identity, name, (joined) => { automatic.push(joined) })
    if (welcome) {
      connection.send({
        type: 'welcome',
        connection: connection.id,
        origin: connection.origin,
        user: connection.user,
        expiresAt: connection.expiresAt - EXPIRY_GRACE_MS,
        heartbeatMs: config.HEARTBEAT_SECONDS * 1_000,
        rooms: automatic.map(({ room, position }) => ({ room, ...position }))
      })
    }
    for (const name of names) {
      try {
        await rooms.join(connection, identity, name, ({ room, position, audience }) => {
          connection.send({ type: 'joined', room, ...position, audience })
        })
      } catch (error) {
        if (!(error instanceof RoomcastError)) onError(error)
        const { code, message, retryAfterMs } = toRoomcastError(error)
        inbox.refuse(code, message, undefined, retryAfterMs)
      }
    }
  }
}
