import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import { RoomcastError } from '../../src/errors.ts'
import { EventStreams } from '../../src/event-streams.ts'
import type { Position } from '../../src/protocol/envelope.ts'
import { isAlias, isRoomName, ORIGIN_PATTERN, ROOM_RULE, SUBPROTOCOL } from '../../src/protocol/names.ts'
import { NO_POSITION, parsePosition } from '../../src/protocol/position.ts'
import { Type } from '../../src/protocol/schema.ts'
import type { Identity } from '../../src/rooms/identity.ts'
import { problems, RoomParams } from './schemas.ts'

/** Rooms of one stream: their positions have to fit in a header. */
const MAX_ROOMS = 20

const Since = Type.Optional(Type.String({
  description: 'What this client has had: `<epoch>:<offset>`, the `id` of an event. For several rooms one for each, in the order of their names, separated by commas. The header `Last-Event-ID` wins.',
  examples: ['1764000000000123:42']
}))
const Query = {
  token: Type.Optional(Type.String({ description: 'The token, where no header can be set, as with `EventSource`.' })),
  since: Since,
  origin: Type.Optional(Type.String({ pattern: ORIGIN_PATTERN, description: "The tab's own name, for `exclude`." })),
  protocol: Type.Optional(Type.Literal(SUBPROTOCOL, { description: 'Asks for a `welcome` event first.' }))
}
const Stream = { 'text/event-stream': { schema: Type.String({ description: 'Server-sent events: the `data` of each is a frame, as JSON.' }) } }
const common = {
  tags: ['messages'],
  headers: Type.Object({ 'last-event-id': Type.Optional(Type.String({ description: 'As `since`; `EventSource` sends it by itself.' })) }),
  response: { 200: { description: 'The stream; it goes on until one of the two ends it.', content: Stream }, ...problems }
} satisfies FastifySchema

/** `GET /v1/rooms/:room/events` and `GET /v1/events`: server-sent events. */
const route: FastifyPluginAsyncTypebox = async (app) => {
  const { config, hub, entrance, admission } = app
  const { MAX_ROOMS_PER_CONNECTION } = config
  const streams = new EventStreams({ hub, entrance, onError: (err) => { app.log.error({ err }, 'event stream failed') } })
  const options = {
    exposeHeadRoute: false, // It would open a stream.
    config: { tokenInQuery: true },
    onRequest: async (request: FastifyRequest) => { await admission.checkRate(request) }
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
      description: `By server-sent events; up to ${MAX_ROOMS} rooms, \`@user\` and \`@all\` among them. Needs \`join\` in each of the others.`,
      querystring: Type.Object({ room: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])), ...Query })
    }
  }, (request, reply) => { open(request, reply, [request.query.room ?? []].flat(), request.query) })

  function checkRooms (identity: Identity, rooms: string[]): void {
    if (!rooms.every(isRoomName)) throw new RoomcastError('invalid_room', ROOM_RULE)
    const forbidden = rooms.find((room) => !identity.grants.allow('join', room))
    if (forbidden !== undefined) throw new RoomcastError('forbidden', `join is not granted in ${forbidden}`)
    if (MAX_ROOMS_PER_CONNECTION > 0 && rooms.length > MAX_ROOMS_PER_CONNECTION) {
      throw new RoomcastError('room_limit', `A connection may join ${MAX_ROOMS_PER_CONNECTION} rooms`)
    }
  }

  function open (request: FastifyRequest, reply: FastifyReply, names: string[], { since, origin, protocol }: { since?: string, origin?: string, protocol?: string }): void {
    const identity = request.roomcastIdentity as Identity
    const rooms = [...new Set(names)].sort()
    if (rooms.length > MAX_ROOMS) throw new RoomcastError('invalid_request', `An event stream has at most ${MAX_ROOMS} rooms`)
    // Who speaks our protocol is told of each room by itself.
    if (protocol === undefined) checkRooms(identity, rooms.filter((room) => !isAlias(room)))
    const positions = readPositions(request, rooms, since)
    // Of neither of these it would be told when the client is gone.
    if (reply.raw.socket === null) throw new RoomcastError('invalid_request', 'An event stream cannot wait for the answer to another request')
    if (reply.raw.destroyed) {
      void reply.hijack()
      return
    }
    admission.checkStream(request, reply, identity.user)

    const headers = {
      ...reply.getHeaders() as OutgoingHttpHeaders, // Of CORS, among others.
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no', // nginx would collect what is to leave at once.
      ...(request.raw.httpVersionMajor === 1 && { connection: 'close' }) // The response has no other end that a drain could wait for.
    }
    void reply.hijack()
    reply.raw.writeHead(200, headers)
    reply.raw.flushHeaders()
    streams.open(reply.raw, identity, { rooms, since: positions, origin, welcome: protocol !== undefined })
  }
}

export default route

/** Where a client was in each room. What cannot belong to these rooms is a place where nothing can be recovered. */
function readPositions ({ headers }: FastifyRequest, rooms: string[], since: string | undefined): Position[] | undefined {
  const last = headers['last-event-id']
  const isHeader = typeof last === 'string' && last !== ''
  const text = isHeader ? last : since
  if (text === undefined) return undefined
  const positions = text.split(',').map(parsePosition)
  // An EventSource that is answered with an error does not come back.
  if (!isHeader && positions.includes(undefined)) throw new RoomcastError('invalid_request', 'since has to be <epoch>:<offset>, for each room, separated by commas')
  if (positions.length !== rooms.length || positions.includes(undefined)) return rooms.map(() => NO_POSITION)
  return positions as Position[]
}
