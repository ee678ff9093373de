import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ALL_ROOM } from '../../src/protocol/names.ts'
import { decodeKey, publishRequest } from './publishing.ts'
import {
  DocumentedMessageBody, IdempotencyHeaders, MessageBody, MessageQuery, problems, PUBLISH, PublishedSchema
} from './schemas.ts'

/** `POST /v1/broadcast`: publishes to every connection. */
const route: FastifyPluginAsyncTypebox = async (app) => {
  app.post('/v1/broadcast', {
    preValidation: decodeKey,
    config: { documented: { body: DocumentedMessageBody } },
    schema: {
      tags: ['messages'],
      summary: 'Publish to everybody',
      description: 'Every connection gets it, in the room `@all`. Needs `publish` in `@all`.',
      querystring: MessageQuery,
      headers: IdempotencyHeaders,
      body: MessageBody,
      response: { 201: PublishedSchema, ...problems(...PUBLISH) }
    }
  }, async (request, reply) => await publishRequest(app, ALL_ROOM, request, reply))
}

export default route
