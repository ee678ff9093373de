import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '../../../src/protocol/schema.ts'
import { problems, RoomListSchema, RoomParams, RoomSchema } from '../schemas.ts'

/** `/v1/rooms`: lists the occupied rooms, and describes a room. */
const route: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/v1/rooms', {
    schema: {
      tags: ['rooms'],
      summary: 'List occupied rooms',
      description: 'By name; only the rooms in which the caller may do anything.',
      querystring: Type.Object({
        prefix: Type.Optional(Type.String({ maxLength: 128 })),
        cursor: Type.Optional(Type.String({ maxLength: 128, description: '`next` of the page before.' })),
        limit: Type.Optional(Type.Integer({
          minimum: 1, maximum: Number.MAX_SAFE_INTEGER, default: 100, description: 'The answer has at most 1,000 rooms.'
        }))
      }),
      response: { 200: RoomListSchema, ...problems() }
    }
  }, async (request) => await app.roomsFor(request.roomcastIdentity).list(request.query))

  app.get('/v1/rooms/:room', {
    schema: {
      tags: ['rooms'],
      summary: 'Look at a room',
      description: 'Its position and its connections. Needs any grant in the room.',
      params: RoomParams,
      response: { 200: RoomSchema, ...problems('invalid_room') }
    }
  }, async (request) => {
    const { room, position, audience } = await app.roomsFor(request.roomcastIdentity).describe(request.params.room)
    return { room, ...position, audience }
  })
}

export default route
