import type { Duplex } from 'node:stream'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { RoomcastError } from '../src/errors.ts'
import { CLOSE_CODES, type CloseReason } from '../src/protocol/close-codes.ts'
import type { Position } from '../src/protocol/envelope.ts'
import { isOrigin, isRoomName, ROOM_RULE } from '../src/protocol/names.ts'
import { parsePosition } from '../src/protocol/position.ts'
import { type Parameters, Sockets } from '../src/sockets.ts'
import { faultOfHandshake, narrowOffer, takeOver } from '../src/upgraded.ts'

/** Time for everything before the 101, ms: a hook of the application that never ends gets a 503. */
const HANDSHAKE_TIMEOUT_MS = 10_000

/** `GET /ws`: a WebSocket connection. */
const route: FastifyPluginAsync = async (app) => {
  const { config, hub, rooms, admission, entrance } = app
  const sockets = new Sockets({ config, hub, rooms, entrance, onError: (err) => { app.log.error({ err }, 'command failed') } })

  app.route({
    method: 'GET',
    url: '/ws',
    handlerTimeout: HANDSHAKE_TIMEOUT_MS,
    schema: { hide: true },
    // Those that wait for nothing call back: a promise for each hook is felt when everybody comes back at once.
    onRequest: [
      (request, reply, done) => {
        admission.checkUpgrade(request, reply)
        done()
      },
      ...(config.UPGRADES_PER_MINUTE > 0 ? [async (request: FastifyRequest) => { await admission.checkRate(request) }] : [])
    ],
    preValidation: async (request, reply) => {
      // What is wrong is said while it still can be, with a status.
      const fault = faultOfHandshake(request.raw)
      if (fault !== undefined) {
        void reply.header('sec-websocket-version', '13')
        throw new RoomcastError('invalid_request', fault)
      }
      readParameters(request)
      await authenticate(request, reply)
      narrowOffer(request.raw)
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

  function connect (ws: WebSocket, request: FastifyRequest): void {
    const { socket } = request.raw
    takeOver(ws, app.websocketServer, config.MAX_MESSAGE_BYTES)
    admission.done(socket)
    release(ws, socket)
    const { roomcastIdentity: identity } = request
    if (identity === null) refuse(ws, 'unauthorized')
    else if (app.shutdown.draining) refuse(ws, 'goingDown')
    // Looked at before the 101 as well; but what runs in between may take its time.
    else if (config.MAX_CONNECTIONS > 0 && hub.connections.size >= config.MAX_CONNECTIONS) refuse(ws, 'overloaded')
    else if (config.MAX_CONNECTIONS_PER_USER > 0 && hub.connectionsOf(identity.user) >= config.MAX_CONNECTIONS_PER_USER) refuse(ws, 'connectionLimit')
    else sockets.open(ws, socket, identity, readParameters(request))
  }
}

export default route

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
  const { room, since, origin } = query as Record<string, string | string[] | undefined>
  const rooms = [...new Set(room === undefined ? [] : [room].flat())]
  for (const name of rooms) {
    if (!isRoomName(name)) throw new RoomcastError('invalid_room', ROOM_RULE)
  }
  if (origin !== undefined && !isOrigin(origin)) throw new RoomcastError('invalid_request', 'The origin has to be 16–64 of the characters A–Z a–z 0–9 _ -')
  if (since !== undefined && rooms.length !== 1) throw new RoomcastError('invalid_request', 'since goes with exactly one room')
  return { rooms, since: since === undefined ? undefined : readPosition(since), origin: origin as string | undefined }
}

function readPosition (text: string | string[]): Position {
  const position = typeof text === 'string' ? parsePosition(text) : undefined
  if (position === undefined) throw new RoomcastError('invalid_request', 'since has to be <epoch>:<offset>')
  return position
}
