import type { OutgoingHttpHeaders } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { Writable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import { dropConnectionHeaders } from '../../src/connection-headers.ts'
import { RoomcastError } from '../../src/errors.ts'
import { isAlias, ORIGIN_PATTERN, ROOM_OR_ALIAS_PATTERN } from '../../src/protocol/names.ts'
import { SUBPROTOCOL } from '../../src/protocol/subprotocol.ts'
import { NO_POSITION, parsePosition, type Position } from '../../src/protocol/position.ts'
import { Type } from '../../src/protocol/schema.ts'
import { problems, RoomParams } from './schemas.ts'

/** Largest number of rooms on one stream: their positions must fit into a header. */
const MAX_ROOMS = 20

/** `parsePosition` as a pattern, for the positions that the service gives. */
const POSITION = '[^\\s,:]{1,32}:(?:[0-8]\\d{15}|\\d{1,15})'

const Since = {
  description: 'The position up to which the client has the messages: `<epoch>:<offset>`, the `id` of an event. For several rooms, ' +
    'one for each, in the order of their names, separated by commas. The header `Last-Event-ID` wins.',
  examples: ['1764000000000123:42']
}
const Query = {
  token: Type.Optional(Type.String({ description: 'The token, where no header can be set, as with `EventSource`.' })),
  since: Type.Optional(Type.String(Since)),
  origin: Type.Optional(Type.String({ pattern: ORIGIN_PATTERN, description: "The tab's own name, for `exclude`." })),
  protocol: Type.Optional(Type.Literal(SUBPROTOCOL, { description: 'Asks for a `welcome` event first.' }))
}
/** The query as the handler checks it. A client of our protocol gets an answer for each room, and no refusal. */
const DocumentedQuery = { ...Query, since: Type.Optional(Type.String({ ...Since, pattern: `^${POSITION}(?:,${POSITION})*$` })) }
const DocumentedRoom = Type.String({ pattern: ROOM_OR_ALIAS_PATTERN, description: 'A room, `@user` or `@all`.', examples: ['lobby'] })
const Stream = {
  // A schema would be the form of the whole text to some tools, and of one event to others.
  'text/event-stream': { schema: Type.Unknown({ description: 'Server-sent events: the `data` of each is a frame, as JSON.' }) }
}
const common = {
  tags: ['messages'],
  headers: Type.Object({ 'last-event-id': Type.Optional(Type.String({ description: 'As `since`; `EventSource` sends it by itself.' })) }),
  response: {
    200: { description: 'The stream; it goes on until one of the two ends it.', content: Stream },
    ...problems('invalid_room', 'room_limit', 'connection_limit', 'overloaded')
  }
} satisfies FastifySchema

/** The parameters of a stream's URL, except its rooms. */
interface StreamQuery {
  since?: string
  origin?: string
  protocol?: string
}

/** `GET /v1/rooms/:room/events` and `GET /v1/events`: server-sent events. */
const route: FastifyPluginAsyncTypebox = async (app) => {
  const { eventStreams, limits, memberships } = app
  const options = {
    exposeHeadRoute: false, // It would open a stream.
    onRequest: async (request: FastifyRequest) => { await limits.checkRate(request) }
  }

  app.get('/v1/rooms/:room/events', {
    ...options,
    config: { tokenInQuery: true, documented: { querystring: Type.Object(DocumentedQuery) } },
    schema: {
      ...common,
      summary: 'Listen to a room',
      description: 'By server-sent events, where a WebSocket does not get through. Needs `join` in the room.',
      params: RoomParams,
      querystring: Type.Object(Query)
    }
  }, (request, reply) => { open(request, reply, [request.params.room], request.query) })

  app.get('/v1/events', {
    ...options,
    config: {
      tokenInQuery: true,
      documented: { querystring: Type.Object({ room: Type.Optional(Type.Array(DocumentedRoom)), ...DocumentedQuery }) }
    },
    schema: {
      ...common,
      summary: 'Listen to several rooms',
      description: `By server-sent events; up to ${MAX_ROOMS} rooms, \`@user\` and \`@all\` among them. ` +
        'Needs `join` in each of the others.',
      querystring: Type.Object({ room: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])), ...Query })
    }
  }, (request, reply) => { open(request, reply, [request.query.room ?? []].flat(), request.query) })

  function open (request: FastifyRequest, reply: FastifyReply, names: string[], query: StreamQuery): void {
    const { roomcastIdentity: identity } = request
    const { since, origin, protocol } = query
    const rooms = [...new Set(names)].sort()
    if (rooms.length > MAX_ROOMS) throw new RoomcastError('invalid_request', `An event stream has at most ${MAX_ROOMS} rooms`)
    // A client of our protocol gets an answer for each room.
    if (protocol === undefined) memberships.checkJoins(identity, rooms.filter((room) => !isAlias(room)))
    const positions = readPositions(request, rooms, since)
    // In both cases the response does not report that the client disconnects.
    if (reply.raw.socket === null) {
      throw new RoomcastError('invalid_request', 'An event stream cannot wait for the answer to another request')
    }
    const body = bodyOf(reply)
    if (body.destroyed) {
      void reply.hijack()
      return
    }
    limits.check(request, body, { user: identity.user, origin })

    begin(reply)
    eventStreams.open(body, identity, { rooms, since: positions, origin, welcome: protocol !== undefined })
  }
}

export default route

/** The stream that events are written to. Over HTTP/2 the response only imitates one, without backpressure. */
function bodyOf ({ raw }: FastifyReply): Writable {
  return 'stream' in raw ? (raw as unknown as Http2ServerResponse).stream : raw
}

/** Takes the response from Fastify and sends the head of the stream. */
function begin (reply: FastifyReply): void {
  void reply.headers({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no', // nginx would buffer the events.
    connection: 'close' // A drain can wait only for the end of the socket.
  })
  dropConnectionHeaders(reply)
  void reply.hijack()
  reply.raw.writeHead(200, reply.getHeaders() as OutgoingHttpHeaders) // With the headers of CORS, among others.
  reply.raw.flushHeaders()
}

/** The client's position in each room. Positions that cannot belong to these rooms are replaced by unknown ones. */
function readPositions ({ headers }: FastifyRequest, rooms: string[], since: string | undefined): Position[] | undefined {
  if (since?.split(',').map(parsePosition).includes(undefined) === true) {
    throw new RoomcastError('invalid_request', 'since has to be <epoch>:<offset>, for each room, separated by commas')
  }
  const last = headers['last-event-id']
  const text = typeof last === 'string' && last !== '' ? last : since
  if (text === undefined) return undefined
  const positions = text.split(',').map(parsePosition)
  // A header is not refused: an EventSource that is answered with an error does not reconnect.
  if (positions.length !== rooms.length || positions.includes(undefined)) return rooms.map(() => NO_POSITION)
  return positions as Position[]
}
