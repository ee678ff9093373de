import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { encodeHistoryMessage } from '../../../src/protocol/message.ts'
import { Type } from '../../../src/protocol/schema.ts'
import { decodeKey, publishRequest } from '../publishing.ts'
import {
  BODY, DocumentedMessageBody, HistorySchema, IdempotencyHeaders, MessageBody, MessageQuery, problems, PUBLISH, PublishedSchema, RoomParams
} from '../schemas.ts'

const Offset = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** `/v1/rooms/:room/messages`: publishes to a room, reads its history, deletes its history. */
const route: FastifyPluginAsyncTypebox = async (app) => {
  app.post('/v1/rooms/:room/messages', {
    preValidation: decodeKey,
    config: { documented: { body: DocumentedMessageBody } },
    schema: {
      tags: ['messages'],
      summary: 'Publish to a room',
      description: 'Everybody in the room gets it as a `message` frame. Needs `publish` in the room.',
      params: RoomParams,
      querystring: MessageQuery,
      headers: IdempotencyHeaders,
      body: MessageBody,
      response: { 201: PublishedSchema, ...problems('invalid_room', ...PUBLISH) }
    }
  }, async (request, reply) => await publishRequest(app, request.params.room, request, reply))

  app.get('/v1/rooms/:room/messages', {
    schema: {
      tags: ['messages'],
      summary: 'Read the history of a room',
      description: 'The messages after `after`, oldest first; or the latest ones before `before`. Needs `history` in the room.',
      params: RoomParams,
      querystring: Type.Object({
        after: Type.Optional(Offset),
        before: Type.Optional(Offset),
        epoch: Type.Optional(Type.String({
          description: 'The epoch of the offsets. If the room has another one now, the answer is `recovered: false` and the new position.'
        })),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'At most 300 are given.' }))
      }),
      response: { 200: HistorySchema, ...problems('invalid_room') }
    }
  }, async (request, reply) => {
    const { room, page } = await app.roomsFor(request.roomcastIdentity).history(request.params.room, request.query)
    const { position, recovered, messages, next } = page
    // Built from the stored bytes, which the serializer would have to parse first.
    const head = JSON.stringify({ room, ...position, recovered, next })
    const list = messages.map((message) => encodeHistoryMessage(room, message)).join()
    return await reply.type('application/json; charset=utf-8').serializer((body: unknown) => body as string)
      .send(`${head.slice(0, -1)},"messages":[${list}]}` as never)
  })

  app.delete('/v1/rooms/:room/messages', {
    schema: {
      tags: ['messages'],
      summary: 'Forget the messages of a room',
      description: 'The room keeps its position. Needs `manage` in the room.',
      params: RoomParams,
      response: { 204: Type.Null({ description: 'Forgotten.' }), ...problems('invalid_room', ...BODY) }
    }
  }, async (request, reply) => {
    await app.roomsFor(request.roomcastIdentity).forget(request.params.room)
    return await reply.code(204).send(null)
  })
}

export default route
