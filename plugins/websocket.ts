import type { Duplex } from 'node:stream'
import fastifyWebsocket from '@fastify/websocket'
import fp from 'fastify-plugin'
import { RoomcastError, toProblem } from '../src/errors.ts'
import { SUBPROTOCOL } from '../src/protocol/names.ts'
import { writeProblem } from '../src/refusal.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Sockets that asked for an upgrade and have not got it yet. */
    upgrades: Set<Duplex>
  }
}

/** A client that does not answer the close frame is destroyed after this long, ms. */
export const CLOSE_TIMEOUT_MS = 3_000
/** Fragments of one message. */
const MAX_FRAGMENTS = 64
/** Pieces in which one frame may come from the network, at the least; each costs far more than a byte. */
const MIN_CHUNKS = 1_024
/** Large frames may come in more, of this many bytes on average: the smallest that networks make are 536. */
const CHUNK_BYTES = 64

/** `fastify.upgrades`, and WebSocket routes by `@fastify/websocket`. */
export default fp(async (app) => {
  const { MAX_MESSAGE_BYTES } = app.config
  app.decorate('upgrades', new Set<Duplex>())
  const options = {
    maxPayload: MAX_MESSAGE_BYTES,
    maxFragments: MAX_FRAGMENTS,
    maxBufferedChunks: MAX_MESSAGE_BYTES === 0 ? 0 : Math.max(MIN_CHUNKS, Math.ceil(MAX_MESSAGE_BYTES / CHUNK_BYTES)),
    closeTimeout: CLOSE_TIMEOUT_MS,
    perMessageDeflate: false, // Frames are written past ws, which would have to compress them.
    clientTracking: false,
    // Only ours is ever echoed: ws would take the first, which may be the token.
    handleProtocols: (protocols: Set<string>) => protocols.has(SUBPROTOCOL) ? SUBPROTOCOL : false
  }
  await app.register(fastifyWebsocket, {
    options,
    // The shutdown plugin says goodbye.
    preClose: (done) => { done() },
    // What a client does wrong is not worth more than this; ws has closed the connection with the right code.
    errorHandler: (error, _socket, request) => { request.log.debug({ err: error }, 'websocket error') }
  })
  // Handshakes that ws refuses (RFC 6455, section 4.2.1), which it would answer in HTML.
  app.websocketServer.on('wsClientError', (error, socket) => {
    writeProblem(socket, toProblem(new RoomcastError('invalid_request', error.message)), { 'Sec-WebSocket-Version': '13' })
  })
}, { name: 'roomcast-websocket', dependencies: ['roomcast-config'] })
