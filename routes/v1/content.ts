import type { FastifyRequest } from 'fastify'
import { RoomcastError } from '../../src/errors.ts'
import { isDeeperThan, MAX_JSON_DEPTH } from '../../src/protocol/depth.ts'
import { findJsonFault } from '../../src/protocol/json.ts'
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
  checkJson(body)
  return readJsonMessage(body as JsonMessage)
}

/** Checks the JSON of a message, also its members that are ignored; throws `invalid_json`. */
export function checkJson (message: unknown): void {
  const fault = findJsonFault(message, MAX_JSON_DEPTH + 1)
  // Only `data` has a depth: members that are ignored may be nested as they like.
  if (fault?.code === 'invalid_json') throw new RoomcastError('invalid_json', fault.text)
}

/** Reads the message that a JSON object describes; it is checked. */
export function readJsonMessage (message: JsonMessage): Posted {
  const { text, data, event, exclude } = message
  const named = event === undefined ? {} : { event }
  const hasData = Object.hasOwn(message, 'data')
  if (hasData === (text !== undefined)) throw new RoomcastError('invalid_request', 'A message has exactly one of "text" and "data"')
  if (text !== undefined) return { content: { text, ...named }, exclude }
  if (isDeeperThan(data, MAX_JSON_DEPTH)) throw new RoomcastError('too_deep', `data is nested more than ${MAX_JSON_DEPTH} deep`)
  return { content: { data, ...named }, exclude }
}
