import { randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { goingDown } from '../plugins/shutdown.ts'
import { Inbox } from '../src/commands/inbox.ts'
import { RoomcastError, toRoomcastError } from '../src/errors.ts'
import { Connection } from '../src/hub/connection.ts'
import { Heartbeat } from '../src/hub/heartbeat.ts'
import { isOriginAllowed } from '../src/origins.ts'
import { CLOSE_CODES, type CloseReason } from '../src/protocol/close-codes.ts'
import { ALL_ROOM, isOrigin, isRoomName, ROOM_RULE, SUBPROTOCOL, USER_ALIAS } from '../src/protocol/names.ts'
import type { Identity } from '../src/rooms/identity.ts'
import type { Joined } from '../src/rooms/rooms.ts'
import { isBearerEntry, offeredProtocols } from '../src/token.ts'
import { WebSocketTransport } from '../src/transport/websocket.ts'

/** Time for everything before the 101, ms: a hook of the application that never ends gets a 503. */
const HANDSHAKE_TIMEOUT_MS = 10_000
/** A connection outlives its token by this much, ms. */
const EXPIRY_GRACE_MS = 10_000
/** When to try again where the node is full, ms. */
const FULL_RETRY_MS = 5_000

/** What a client asked for in the URL. */
interface Parameters {
  rooms: string[]
  origin: string | undefined
}

/** What the listeners of a socket find on it: they are the same functions for all sockets. */
const kInbox = Symbol('roomcast.inbox')
type Attached = WebSocket & { [kInbox]: Inbox }

/** `GET /ws`: a WebSocket connection. */
const route: FastifyPluginAsync = async (app) => {
  const { config, hub, rooms } = app
  const heartbeat = new Heartbeat(hub, config.HEARTBEAT_SECONDS)
  app.addHook('onClose', async () => { heartbeat.stop() })
  const admitted = new Admission(app)
  if (config.UPGRADES_PER_MINUTE > 0) {
    await app.register(rateLimit, { global: false, errorResponseBuilder: (_request, { ttl }) => new RoomcastError('rate_limited', 'Too many new connections from this address', ttl) })
  }

  app.route({
    method: 'GET',
    url: '/ws',
    handlerTimeout: HANDSHAKE_TIMEOUT_MS,
    schema: { hide: true },
    config: config.UPGRADES_PER_MINUTE > 0 ? { rateLimit: { max: config.UPGRADES_PER_MINUTE, timeWindow: 60_000 } } : {},
    onRequest: async (request, reply) => { await admitted.check(request, reply) },
    preValidation: async (request, reply) => {
      readParameters(request) // What is wrong with them is said while it still can be, with a status.
      await authenticate(request, reply)
    },
    handler: () => { throw new RoomcastError('upgrade_required') },
    wsHandler: connect
  })

  /** 401 before the 101; but a browser cannot read that, so it gets the upgrade and close 4001. */
  async function authenticate (request: FastifyRequest, reply: FastifyReply): Promise<void> {
    try {
      await app.authentication.required(request, reply)
    } catch (error) {
      if (!(error instanceof RoomcastError) || error.code !== 'unauthorized' || request.headers.origin === undefined) throw error
    }
  }

  // Synchronous until the listeners are attached: after an await the first message would be lost.
  function connect (ws: WebSocket, request: FastifyRequest): void {
    const { socket } = request.raw
    admitted.done(socket)
    release(ws, socket)
    const { identity } = request
    if (identity === null) refuse(ws, 'unauthorized')
    else if (app.shutdown.draining) refuse(ws, 'goingDown')
    // Looked at before the 101 as well; but what runs in between may take its time.
    else if (config.MAX_CONNECTIONS > 0 && hub.connections.size >= config.MAX_CONNECTIONS) refuse(ws, 'overloaded')
    else if (config.MAX_CONNECTIONS_PER_USER > 0 && hub.connectionsOf(identity.user) >= config.MAX_CONNECTIONS_PER_USER) refuse(ws, 'connectionLimit')
    else open(ws, socket, identity, readParameters(request))
  }

  function open (ws: WebSocket, socket: Duplex, identity: Identity, parameters: Parameters): void {
    const id = randomUUID()
    const connection = new Connection({
      id,
      origin: parameters.origin ?? id,
      user: identity.user,
      expiresAt: Math.min(identity.expiresAt, Date.now() + config.MAX_TOKEN_LIFETIME_SECONDS * 1_000) + EXPIRY_GRACE_MS,
      transport: new WebSocketTransport(ws, socket),
      maxQueueBytes: config.MAX_QUEUE_BYTES,
      onEnd: disconnect
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
    ws.on('message', onMessage).on('ping', onSign).on('pong', onSign).on('close', onClose)
    hub.add(connection)
    heartbeat.add(connection)
    inbox.hold(enter(inbox, parameters.rooms, ws.protocol === SUBPROTOCOL))
  }

  /** Joins the automatic rooms, says welcome to who wants it, and joins the rooms of the URL. */
  async function enter (inbox: Inbox, names: string[], welcome: boolean): Promise<void> {
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

  function onMessage (this: WebSocket, data: Buffer, isBinary: boolean): void {
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

  function onSign (this: WebSocket): void {
    const inbox = (this as Attached)[kInbox]
    inbox.connection.heard = hub.tick
    inbox.sign()
  }

  function onClose (this: WebSocket): void {
    const { connection } = (this as Attached)[kInbox]
    connection.end()
    hub.remove(connection)
  }

  function disconnect (connection: Connection): void {
    rooms.disconnect(connection)
  }

  function onError (err: unknown): void {
    app.log.error({ err }, 'command failed')
  }
}

export default route

/** Who may ask for an upgrade at all; the sockets that have asked and not been answered are in `app.upgrades`. */
class Admission {
  readonly #app: FastifyInstance
  readonly #addresses = new Map<string, number>()

  constructor (app: FastifyInstance) {
    this.#app = app
  }

  async check (request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { config, hub, shutdown, upgrades } = this.#app
    if (!request.ws) {
      void reply.header('upgrade', 'websocket') // RFC 9110, section 15.5.22: a 426 names the protocol.
      throw new RoomcastError('upgrade_required', 'This is a WebSocket endpoint')
    }
    const { socket } = request.raw
    upgrades.add(socket)
    socket.once('close', () => { upgrades.delete(socket) })

    if (shutdown.draining) throw goingDown()
    const { origin } = request.headers
    if (origin !== undefined && !isOriginAllowed(config, origin)) throw new RoomcastError('origin_forbidden')
    const protocols = offeredProtocols(request)
    if (protocols.length > 0 && protocols.every(isBearerEntry)) {
      throw new RoomcastError('invalid_request', `Offer the subprotocol ${SUBPROTOCOL} beside the token: a browser closes a connection that selects none`)
    }
    if (config.MAX_CONNECTIONS > 0 && hub.connections.size >= config.MAX_CONNECTIONS) {
      throw new RoomcastError('overloaded', 'This instance takes no more connections', FULL_RETRY_MS)
    }
    if (config.MAX_CONNECTIONS_PER_ADDRESS > 0) this.#countAddress(request.ip, config.MAX_CONNECTIONS_PER_ADDRESS, socket)
  }

  /** The socket has its upgrade. */
  done (socket: Duplex): void {
    this.#app.upgrades.delete(socket)
  }

  #countAddress (address: string, limit: number, socket: Duplex): void {
    const count = this.#addresses.get(address) ?? 0
    if (count >= limit) throw new RoomcastError('connection_limit', 'Too many connections from this address', FULL_RETRY_MS)
    this.#addresses.set(address, count + 1)
    socket.once('close', () => {
      const rest = (this.#addresses.get(address) ?? 1) - 1
      if (rest === 0) this.#addresses.delete(address)
      else this.#addresses.set(address, rest)
    })
  }
}

/** Lets go of the request and the response, which the socket and the plugin's error listener would keep for its lifetime. */
function release (ws: WebSocket, socket: Duplex): void {
  const { _httpMessage: response } = socket as unknown as { _httpMessage?: { detachSocket (socket: Duplex): void } | null }
  response?.detachSocket(socket)
  ws.removeAllListeners('error').on('error', ignore)
}

// What a client does wrong ends its connection with the right code: ws has seen to that.
function ignore (): void {}

function refuse (ws: WebSocket, reason: CloseReason): void {
  ws.close(CLOSE_CODES[reason].code, CLOSE_CODES[reason].reason)
}

function readParameters ({ query }: FastifyRequest): Parameters {
  const { room, origin } = query as { room?: string | string[], origin?: string | string[] }
  const rooms = [...new Set(room === undefined ? [] : [room].flat())]
  for (const name of rooms) {
    if (!isRoomName(name)) throw new RoomcastError('invalid_room', ROOM_RULE)
  }
  if (origin !== undefined && !isOrigin(origin)) throw new RoomcastError('invalid_request', 'The origin has to be 16–64 of the characters A–Z a–z 0–9 _ -')
  return { rooms, origin: origin as string | undefined }
}
