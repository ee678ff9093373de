import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import type { Published } from '../../src/broker/broker.ts'
import type { Rooms } from '../../src/rooms/rooms.ts'
import { readMessage } from './content.ts'
import type { PublishedSchema } from './schemas.ts'

/** The answer to a publish. */
export function toPublishedBody (room: string, { position, time, audience }: Published): Static<typeof PublishedSchema> {
  return { room, ...position, time, audience }
}

/** Publishes the request's message to a room, and answers with 201. */
export async function publishRequest (
  rooms: Rooms, room: string, request: FastifyRequest, reply: FastifyReply
): Promise<Static<typeof PublishedSchema>> {
  const { content, exclude } = readMessage(request)
  const key = request.headers['idempotency-key'] as string | undefined
  request.roomcastPublishing = true
  const published = await rooms.publish(room, content, { key, exclude }).catch((error: unknown) => {
    request.roomcastPublishing = false // The error itself says whether the message may be in the room.
    throw error
  })
  // draft-ietf-httpapi-idempotency-key-header defines no header for a replay; other services use this name.
  if (published.replayed) void reply.header('idempotent-replayed', 'true')
  void reply.code(201)
  return toPublishedBody(room, published)
}
