import type { FastifyRequest } from 'fastify'
import { RoomcastError } from '../../src/errors.ts'
import { isDeeperThan, MAX_JSON_DEPTH } from '../../src/protocol/depth.ts'
import type { Content } from '../../src/protocol/message.ts'

/** A message to publish, and the origin to exclude. */
export interface Posted {
  content: Content
  exclude: string | undefined
}

/** A message as JSON, checked against its schema. */
export interface JsonMessage {
  text?: string
  data?: unknown
  event?: string
  exclude?: string
}

/** Reads the message in the body of a request: JSON, text or bytes. */
export function readMessage (request: FastifyRequest): Posted {
  const { body } = request
  if (typeof body === 'string' || Buffer.isBuffer(body)) {
    const { event, exclude } = request.query as { event?: string, exclude?: string }
    const named = event === undefined ? {} : { event }
    return { content: typeof body === 'string' ? { text: body, ...named } : { bytes: body, ...named }, exclude }
  }
  // A request without a body has no content type, so no schema has refused it.
  if (body === undefined || body === null) throw new RoomcastError('invalid_request', 'The request has no body')
  return readJsonMessage(body as JsonMessage)
}

/** Reads the message that a JSON object describes. */
export function readJsonMessage (message: JsonMessage): Posted {
  const { text, data, event, exclude } = message
  const named = event === undefined ? {} : { event }
  const hasData = Object.hasOwn(message, 'data')
  if (hasData === (text !== undefined)) throw new RoomcastError('invalid_request', 'A message has exactly one of "text" and "data"')
  if (text !== undefined) return { content: { text, ...named }, exclude }
  if (isDeeperThan(data, MAX_JSON_DEPTH)) throw new RoomcastError('too_deep', `data is nested more than ${MAX_JSON_DEPTH} deep`)
  return { content: { data, ...named }, exclude }
}
