import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { RoomcastError } from '../../../src/errors.ts'
import { isUser, userRoom } from '../../../src/protocol/names.ts'
import { decodeKey, publishRequest } from '../publishing.ts'
import {
  DocumentedMessageBody, DocumentedUserParams, IdempotencyHeaders, MessageBody, MessageQuery, problems, PUBLISH, PublishedSchema, UserParams
} from '../schemas.ts'

/** `POST /v1/users/:user/messages`: publishes to one user. */
const route: FastifyPluginAsyncTypebox = async (app) => {
  app.post('/v1/users/:user/messages', {
    preValidation: decodeKey,
    config: { documented: { params: DocumentedUserParams, body: DocumentedMessageBody } },
    schema: {
      tags: ['messages'],
      summary: 'Publish to a user',
      description: 'All connections of the user get it, in the room `@user`. Needs `publish` in `@user:<user>`.',
      params: UserParams,
      querystring: MessageQuery,
      headers: IdempotencyHeaders,
      body: MessageBody,
      response: { 201: PublishedSchema, ...problems(...PUBLISH) }
    }
  }, async (request, reply) => {
    const { user } = request.params
    if (!isUser(user)) throw new RoomcastError('invalid_request', 'Users are 1–255 bytes without control characters')
    return await publishRequest(app, userRoom(user), request, reply)
  })
}

export default route
