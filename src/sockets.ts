import { randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { WebSocket } from 'ws'
import { Inbox } from './commands/inbox.ts'
import type { Config } from './config.ts'
import { RoomcastError, toRoomcastError } from './errors.ts'
import { Connection } from './hub/connection.ts'
import type { Hub } from './hub/hub.ts'
import type { Position } from './protocol/envelope.ts'
import { ALL_ROOM, SUBPROTOCOL, USER_ALIAS } from './protocol/names.ts'
import type { Identity } from './rooms/identity.ts'
import type { Rooms } from './rooms/rooms.ts'
import { WebSocketTransport } from './transport/websocket.ts'

/** A connection outlives its token by this much, ms. */
const EXPIRY_GRACE_MS = 10_000

/** Until automatic rooms that could not be joined are tried again, ms. */
const RETRY_MS = 1_000

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
    inbox.hold(this.#enter(inbox, parameters, ws.protocol === SUBPROTOCOL))
  }

  /** Joins the automatic rooms, says welcome to who wants it, and joins the rooms of the URL. */
  async #enter (inbox: Inbox, { rooms: names, since }: Parameters, welcome: boolean): Promise<void> {
    const { config, rooms } = this.#options
    const { connection, identity } = inbox
    const automatic = new Map<string, Position | undefined>([[USER_ALIAS, undefined], [ALL_ROOM, undefined]])
    const missing: string[] = []
    for (const name of automatic.keys()) {
      await rooms.join(connection, identity, name, ({ position }) => { automatic.set(name, position) }).catch((error: unknown) => {
        if (!isUnavailable(error)) throw error
        missing.push(name)
      })
    }
    if (welcome) {
      connection.send({
        type: 'welcome',
        connection: connection.id,
        origin: connection.origin,
        user: connection.user,
        expiresAt: connection.expiresAt - EXPIRY_GRACE_MS,
        heartbeatMs: config.HEARTBEAT_SECONDS * 1_000,
        rooms: [...automatic].map(([room, position]) => ({ room, ...position }))
      })
    }
    if (missing.length > 0) this.#joinLater(inbox, missing, welcome).catch(this.#options.onError)
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

  /** Nobody can ask for the automatic rooms again: while they cannot be reached, it is tried until they can. */
  async #joinLater ({ connection, identity }: Inbox, names: string[], tell: boolean): Promise<void> {
    for (const name of names) {
      for (let joined = false; !joined && !connection.ended;) {
        await sleep(RETRY_MS, undefined, { ref: false })
        joined = await this.#options.rooms.join(connection, identity, name, ({ room, position, audience }) => {
          if (tell) connection.send({ type: 'joined', room, ...position, audience })
        }).then(() => true, (error: unknown) => {
          if (!isUnavailable(error)) throw error
          return false
        })
      }
    }
  }
}

function isUnavailable (error: unknown): boolean {
  return error instanceof RoomcastError && error.code === 'unavailable'
}
