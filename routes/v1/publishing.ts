import { isUtf8 } from 'node:buffer'
import type { FastifyInstance, FastifyReply, FastifyRequest, preValidationHookHandler } from 'fastify'
import type { Static } from 'typebox'
import type { Published } from '../../src/broker/broker.ts'
import { readMessage } from './content.ts'
import type { PublishedSchema } from './schemas.ts'

/** The answer to a publish. */
export function toPublishedBody (room: string, { position, time, audience }: Published): Static<typeof PublishedSchema> {
  return { room, ...position, time, audience }
}

const NOT_ASCII = /[\u0080-\u00ff]/

/**
 * Reads an `Idempotency-Key` that is not ASCII as the text that `key` in JSON is, before its schema counts the characters. Node
 * reads each byte as a character. curl sends UTF-8, and browsers send ISO 8859-1.
 */
export const decodeKey: preValidationHookHandler = (request, _reply, done) => {
  const key = request.headers['idempotency-key']
  if (typeof key === 'string' && NOT_ASCII.test(key)) {
    const bytes = Buffer.from(key, 'latin1')
    if (isUtf8(bytes)) request.headers = { 'idempotency-key': bytes.toString() }
  }
  done()
}

/** Publishes the request's message to a room, and answers with 201. */
export async function publishRequest (
  app: FastifyInstance, room: string, request: FastifyRequest, reply: FastifyReply
): Promise<Static<typeof PublishedSchema>> {
  const { content, exclude } = readMessage(request)
  const key = request.headers['idempotency-key'] as string | undefined
  app.publishRate.admit(request.roomcastIdentity.user, 1)
  const published = await app.roomsFor(request.roomcastIdentity).publish(room, content, { key, exclude })
  // draft-ietf-httpapi-idempotency-key-header defines no header for a replay; other services use this name.
  if (published.replayed) void reply.header('idempotent-replayed', 'true')
  void reply.code(201)
  return toPublishedBody(room, published)
}
