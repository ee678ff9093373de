import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import type { Authentication } from '../src/auth/authentication.ts'
import type { Identity } from '../src/auth/identity.ts'
import { type Handshake, InvalidHandshake, narrowOffer, type Query, readHandshake } from '../src/connections/handshake.ts'
import { RoomcastError } from '../src/errors.ts'

/** Time for all steps before the 101, ms. If a hook of the application never ends, the client gets a 503. */
const HANDSHAKE_TIMEOUT_MS = 10_000

declare module 'fastify' {
  interface FastifyRequest {
    /** A request for a WebSocket that the hooks have checked, for the handler. */
    roomcastUpgrade: Upgrade
  }
}

/** A checked request for a WebSocket. */
interface Upgrade {
  handshake: Handshake
  /** The caller, or the refusal that a browser reads only after the 101. */
  identity: Identity | RoomcastError
}

/** `GET /ws`: opens a WebSocket connection. */
const route: FastifyPluginAsync = async (app) => {
  const { config, limits, webSockets } = app
  app.decorateRequest('roomcastUpgrade')

  app.route({
    method: 'GET',
    url: '/ws',
    handlerTimeout: HANDSHAKE_TIMEOUT_MS,
    schema: { hide: true },
    // Synchronous hooks call back: promises would cost noticeable time when all clients reconnect at once.
    onRequest: [
      (request, reply, done) => {
        begin(request, reply)
        done()
      },
      ...(config.UPGRADES_PER_MINUTE > 0 ? [async (request: FastifyRequest) => { await limits.checkRate(request) }] : [])
    ],
    preValidation: (request, reply, done) => {
      const handshake = read(request, reply)
      request.roomcastUpgrade = { handshake, identity: identify(app.authentication, request, handshake) }
      narrowOffer(request.raw, handshake)
      done()
    },
    handler: () => { throw new RoomcastError('upgrade_required') },
    wsHandler: connect
  })

  /** The checks before the client is known. */
  function begin (request: FastifyRequest, reply: FastifyReply): void {
    if (!request.ws) {
      void reply.header('upgrade', 'websocket') // RFC 9110, section 15.5.22: a 426 names the protocol.
      throw new RoomcastError('upgrade_required', 'This is a WebSocket endpoint')
    }
    const { socket } = request.raw
    // A hook of the application may have taken its time. A closed socket would be counted forever: it does not close again.
    if (socket.destroyed) throw new RoomcastError('timeout', 'The client has disconnected')
    limits.check(request, socket)
  }

  function connect (ws: WebSocket, { raw: { socket }, roomcastUpgrade: { handshake, identity } }: FastifyRequest): void {
    webSockets.adopt(ws, app.websocketServer, socket)
    try {
      if (identity instanceof RoomcastError) throw identity
      limits.recheck({ user: identity.user, origin: handshake.origin })
    } catch (error) {
      if (!(error instanceof RoomcastError)) throw error
      webSockets.refuse(ws, error)
      return
    }
    webSockets.open(ws, socket, identity, handshake)
  }
}

export default route

function read (request: FastifyRequest, reply: FastifyReply): Handshake {
  try {
    return readHandshake(request.raw, request.query as Query)
  } catch (error) {
    if (error instanceof InvalidHandshake) void reply.header('sec-websocket-version', '13') // RFC 6455, section 4.4
    throw error
  }
}

/** Identifies the caller. A bad token gets a 401. A browser cannot read that, so it gets the upgrade and close 4001. */
function identify (authentication: Authentication, { raw }: FastifyRequest, { protocols, token }: Handshake): Upgrade['identity'] {
  const { method = 'GET', rawHeaders, headers } = raw
  try {
    return authentication.identify({ method, origin: headers.origin, rawHeaders, protocols, query: token, cookie: headers.cookie })
  } catch (error) {
    if (error instanceof RoomcastError && error.code === 'unauthorized' && headers.origin !== undefined) return error
    throw error
  }
}
