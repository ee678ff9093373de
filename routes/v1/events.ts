import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import { RoomcastError } from '../../src/errors.ts'
import { isAlias, ORIGIN_PATTERN } from '../../src/protocol/names.ts'
import { SUBPROTOCOL } from '../../src/protocol/subprotocol.ts'
import { NO_POSITION, parsePosition, type Position } from '../../src/protocol/position.ts'
import { Type } from '../../src/protocol/schema.ts'
import { problems, RoomParams } from './schemas.ts'

/** Largest number of rooms on one stream: their positions must fit into a header. */
const MAX_ROOMS = 20

const Since = Type.Optional(Type.String({
  description: 'The position up to which the client has the messages: `<epoch>:<offset>`, the `id` of an event. For several rooms, ' +
    'one for each, in the order of their names, separated by commas. The header `Last-Event-ID` wins.',
  examples: ['1764000000000123:42']
}))
const Query = {
  token: Type.Optional(Type.String({ description: 'The token, where no header can be set, as with `EventSource`.' })),
  since: Since,
  origin: Type.Optional(Type.String({ pattern: ORIGIN_PATTERN, description: "The tab's own name, for `exclude`." })),
  protocol: Type.Optional(Type.Literal(SUBPROTOCOL, { description: 'Asks for a `welcome` event first.' }))
}
const Stream = {
  'text/event-stream': { schema: Type.String({ description: 'Server-sent events: the `data` of each is a frame, as JSON.' }) }
}
const common = {
  tags: ['messages'],
  headers: Type.Object({ 'last-event-id': Type.Optional(Type.String({ description: 'As `since`; `EventSource` sends it by itself.' })) }),
  response: { 200: { description: 'The stream; it goes on until one of the two ends it.', content: Stream }, ...problems }
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
    config: { tokenInQuery: true },
    onRequest: async (request: FastifyRequest) => { await limits.checkRate(request) }
  }

  app.get('/v1/rooms/:room/events', {
    ...options,
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
    if (reply.raw.destroyed) {
      void reply.hijack()
      return
    }
    limits.check(request, reply.raw, { user: identity.user, origin })

    begin(request, reply)
    eventStreams.open(reply.raw, identity, { rooms, since: positions, origin, welcome: protocol !== undefined })
  }
}

export default route

/** Takes the response from Fastify and sends the head of the stream. */
function begin (request: FastifyRequest, reply: FastifyReply): void {
  const headers = {
    ...reply.getHeaders() as OutgoingHttpHeaders, // Headers of CORS, among others.
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no', // nginx would buffer the events.
    ...(request.raw.httpVersionMajor === 1 && { connection: 'close' }) // A drain can wait only for the end of the socket.
  }
  void reply.hijack()
  reply.raw.writeHead(200, headers)
  reply.raw.flushHeaders()
}

/** The client's position in each room. Positions that cannot belong to these rooms are replaced by unknown ones. */
function readPositions ({ headers }: FastifyRequest, rooms: string[], since: string | undefined): Position[] | undefined {
  const last = headers['last-event-id']
  const isHeader = typeof last === 'string' && last !== ''
  const text = isHeader ? last : since
  if (text === undefined) return undefined
  const positions = text.split(',').map(parsePosition)
  // An EventSource that is answered with an error does not reconnect.
  if (!isHeader && positions.includes(undefined)) {
    throw new RoomcastError('invalid_request', 'since has to be <epoch>:<offset>, for each room, separated by commas')
  }
  if (positions.length !== rooms.length || positions.includes(undefined)) return rooms.map(() => NO_POSITION)
  return positions as Position[]
}
