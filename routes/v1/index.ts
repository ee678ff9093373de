import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { Credentials } from '../../src/auth/authentication.ts'
import type { Identity } from '../../src/auth/identity.ts'
import { RoomcastError } from '../../src/errors.ts'
import { readProtocols } from '../../src/protocol/subprotocol.ts'
import broadcast from './broadcast.ts'
import events from './events.ts'
import messages from './messages.ts'
import rooms from './rooms/index.ts'
import roomMessages from './rooms/messages.ts'
import userMessages from './users/messages.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The caller of a REST route. The application is unlikely to use this name. */
    roomcastIdentity: Identity
  }
  interface FastifyContextConfig {
    /** Whether `?token=` is accepted: a browser's `EventSource` cannot set headers. */
    tokenInQuery?: boolean
  }
}

/** `/v1`: the REST API. Every route needs a token. */
const routes: FastifyPluginAsync = async (app) => {
  const { MAX_MESSAGE_BYTES } = app.config
  app.addHook('onRoute', (route) => {
    // 0 turns the limit off; Fastify wants a number.
    route.bodyLimit ??= MAX_MESSAGE_BYTES > 0 ? MAX_MESSAGE_BYTES : Number.MAX_SAFE_INTEGER
  })
  app.decorateRequest('roomcastIdentity')
  app.decorateRequest('roomcastPublishing', false)
  app.addHook('onRequest', (request, _reply, done) => {
    request.roomcastIdentity = app.authentication.identify(credentialsOf(request))
    done()
  })
  app.addHook('preValidation', (request, _reply, done) => {
    checkQuery(request.url)
    done()
  })
  await app.register(async (scope) => {
    scope.addHook('onRequest', (request, reply, done) => {
      app.requests.begin(request.roomcastIdentity.user, { request: request.raw, response: reply.raw })
      done()
    })
    await scope.register(roomMessages)
    await scope.register(messages)
    await scope.register(userMessages)
    await scope.register(broadcast)
    await scope.register(rooms)
  })
  await app.register(events) // An event stream is a connection, and counts in the limits of connections.
}

export default routes

/** Refuses a query with an escape that is not UTF-8: Fastify would take the escape for the text. */
function checkQuery (url: string): void {
  const start = url.indexOf('?')
  if (start === -1 || !url.includes('%', start)) return
  try {
    decodeURIComponent(url.slice(start))
  } catch {
    throw new RoomcastError('invalid_request', 'The query of the URL has an escape that is not UTF-8; write % as %25')
  }
}

function credentialsOf ({ raw: { method = 'GET', rawHeaders, headers }, query, routeOptions }: FastifyRequest): Credentials {
  return {
    method,
    origin: headers.origin,
    rawHeaders,
    protocols: readProtocols(headers['sec-websocket-protocol']),
    query: routeOptions.config.tokenInQuery === true ? (query as { token?: string | string[] }).token : undefined,
    cookie: headers.cookie
  }
}
