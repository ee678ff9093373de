import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ALL_ROOM } from '../../src/protocol/names.ts'
import { decodeKey, publishRequest } from './publishing.ts'
import { IdempotencyHeaders, MessageBody, MessageQuery, problems, PublishedSchema } from './schemas.ts'

/** `POST /v1/broadcast`: publishes to every connection. */
const route: FastifyPluginAsyncTypebox = async (app) => {
  app.post('/v1/broadcast', {
    preValidation: decodeKey,
    schema: {
      tags: ['messages'],
      summary: 'Publish to everybody',
      description: 'Every connection gets it, in the room `@all`. Needs `publish` in `@all`.',
      querystring: MessageQuery,
      headers: IdempotencyHeaders,
      body: MessageBody,
      response: { 201: PublishedSchema, ...problems }
    }
  }, async (request, reply) => await publishRequest(app, ALL_ROOM, request, reply))
}

export default route
