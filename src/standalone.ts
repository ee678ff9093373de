import type { Writable } from 'node:stream'
import Fastify, { type FastifyInstance } from 'fastify'
import { handleError, handleNotFound } from './problem.ts'
import roomcast from './app.ts'
import type { Config } from './config.ts'
import { RoomcastError } from './errors.ts'
import { toProblem } from './problem.ts'
import { serializeError, serializeRequest } from './log.ts'
import { UpgradeRequest } from './connections/upgrade-request.ts'
import { writeProblem } from './problem.ts'

/** Proxies keep idle connections for up to a minute; a server that closes earlier makes them answer 502, ms. */
const KEEP_ALIVE_MS = 75_000
/** Time to send a whole request, its headers, and for the TLS handshake before it, ms. */
const REQUEST_TIMEOUT_MS = 30_000
const HEADERS_TIMEOUT_MS = 15_000
const TLS_HANDSHAKE_TIMEOUT_MS = 10_000
/** Time between two checks of these, ms. Node's own is 30 s, longer than they are. */
const TIMEOUT_CHECK_MS = 1_000
/** Longer than any name, so that a name that is too long is a bad name and not a path that does not exist. */
const MAX_PARAM_LENGTH = 1_024

/**
 * The service by itself: a Fastify application with nothing but Roomcast in it. Not listening yet.
 *
 * @param log where log lines go; standard output if not given
 */
export function buildStandalone (config: Config, log?: Writable): FastifyInstance {
  // A missing Host is told below, with a problem document.
  const http = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    IncomingMessage: UpgradeRequest,
    requireHostHeader: false
  }
  // Fastify's types tell HTTP from HTTPS; all that is used here they have in common.
  const server = (config.tls === undefined
    ? { http }
    : { https: { ...config.tls, ...http, handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS } }) as object
  const app = Fastify({
    logger: {
      level: config.LOG_LEVEL,
      ...(log !== undefined && { stream: log }),
      serializers: { req: serializeRequest, err: serializeError }
    },
    ...server,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    return503OnClosing: false, // It would be no problem document; and until the server is closed everything is still there.
    trustProxy: config.trustProxy,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    frameworkErrors: handleError,
    // Requests that the HTTP parser refuses. Fastify would log the raw packet, tokens and all.
    clientErrorHandler: (error, socket) => {
      if (error.code === 'ECONNRESET' || !socket.writable) {
        socket.destroy()
        return
      }
      writeProblem(socket, toProblem(toParserError(error.code)))
    }
  })
  // RFC 9110, section 10.1.1: an expectation may be ignored.
  app.server.on('checkExpectation', (request, response) => { app.server.emit('request', request, response) })
  app.addHook('onRequest', (request, reply, done) => {
    const { raw } = request
    app.roomcast.httpConnections.add(raw, reply.raw) // Requests to unknown paths as well.
    // RFC 9112, section 3.2
    if (raw.headers.host === undefined && raw.httpVersion === '1.1') {
      throw new RoomcastError('invalid_request', 'A request needs a Host header')
    }
    if (request.is404) handleNotFound(request, reply) // Before the body: the client may never finish it.
    else done()
  })
  app.setErrorHandler(handleError)
  app.setNotFoundHandler(handleNotFound)
  app.register(roomcast, { config })
  return app
}

/** The error of a request that the HTTP parser refused. */
function toParserError (code: string): RoomcastError {
  if (code === 'HPE_HEADER_OVERFLOW') return new RoomcastError('uri_too_long', 'The URL and the headers are too long')
  return new RoomcastError(code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'timeout' : 'invalid_request', 'The HTTP request could not be read')
}
