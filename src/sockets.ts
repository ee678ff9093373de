import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { Inbox } from './commands/inbox.ts'
import type { Config } from './config.ts'
import { AUTOMATIC_ROOMS, type Entrance } from './entrance.ts'
import { RoomcastError, toRoomcastError } from './errors.ts'
import type { Hub } from './hub/hub.ts'
import type { Position } from './protocol/envelope.ts'
import { SUBPROTOCOL } from './protocol/names.ts'
import type { Identity } from './rooms/identity.ts'
import type { Rooms } from './rooms/rooms.ts'
import { WebSocketTransport } from './transport/websocket.ts'

/** What a client asked for in the URL. */
export interface Parameters {
  rooms: string[]
  /** What it has had already of the one room it names. */
  since: Position | undefined
  origin: string | undefined
}

export interface SocketsOptions {
  config: Config
  hub: Hub
  rooms: Rooms
  entrance: Entrance
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

  constructor (options: SocketsOptions) {
    const { hub, onError } = options
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
  }

  /** Opens a connection; synchronous, for after an await the first message would be lost. */
  open (ws: WebSocket, socket: Duplex, identity: Identity, parameters: Parameters): void {
    const { config, hub, rooms, entrance, onError } = this.#options
    const connection = entrance.open(identity, parameters.origin, new WebSocketTransport(ws, socket))
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
    inbox.hold(this.#enter(inbox, parameters, ws.protocol === SUBPROTOCOL))
  }

  /** Lets a connection in, and joins the rooms of the URL. */
  async #enter (inbox: Inbox, { rooms: names, since }: Parameters, welcome: boolean): Promise<void> {
    const { rooms, entrance } = this.#options
    const { connection, identity } = inbox
    await entrance.enter(connection, identity, AUTOMATIC_ROOMS, welcome)
    for (const name of names) {
      if (connection.ended) return
      await rooms.join(connection, identity, name, ({ room, position, ...joined }) => {
        connection.send({ type: 'joined', room, ...position, ...joined })
      }, { since }).catch((error: unknown) => {
        if (!(error instanceof RoomcastError)) this.#options.onError(error)
        const { code, message, retryAfterMs } = toRoomcastError(error)
        inbox.refuse(code, message, undefined, retryAfterMs)
      })
    }
  }
}
