import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { type ErrorCode, RoomcastError, toProblem, toRoomcastError } from '../src/errors.ts'
import { maskTokens } from '../src/log.ts'
import { ROOM_RULE } from '../src/protocol/names.ts'
import { retryAfter } from '../src/refusal.ts'

/** What Fastify and its plugins throw, in our words. */
const FASTIFY_ERRORS: Record<string, ErrorCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'message_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_request',
  FST_ERR_BAD_URL: 'invalid_request',
  FST_ERR_MAX_PARAM_LENGTH: 'uri_too_long',
  FST_ERR_HANDLER_TIMEOUT: 'timeout',
  FST_ERR_VALIDATION: 'invalid_request'
}

/** Answers every error of the routes around it with a problem document (RFC 9457). */
export default fp(async (app) => {
  app.setErrorHandler<FastifyError>(handleError)
}, { name: 'roomcast-errors' })

/** An error handler: also for what goes wrong before there is a route. */
export function handleError (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const known = translate(error)
  if (known.code === 'internal') request.log.error({ err: error }, 'request failed')
  else request.log.debug({ err: error }, 'request refused')
  const problem = toProblem(known)
  if (request.ws) void reply.header('connection', 'close')
  if (problem.status === 401) void reply.header('www-authenticate', 'Bearer') // RFC 9110, section 11.6.1
  void reply.code(problem.status).headers(retryAfter(problem)).type('application/problem+json').send(problem)
}

/** A not-found handler. */
export function handleNotFound (request: FastifyRequest, reply: FastifyReply): void {
  const path = maskTokens(request.url).replace(/\?.*$/s, '')
  handleError(new RoomcastError('not_found', `${request.method} ${path} does not exist`) as unknown as FastifyError, request, reply)
}

function translate (error: FastifyError): RoomcastError {
  if (error instanceof RoomcastError) return error
  if (error.validation !== undefined) {
    const [fault] = error.validation
    const path = `${error.validationContext ?? 'request'}${fault?.instancePath ?? ''}`
    if (path === 'params/room') return new RoomcastError('invalid_room', ROOM_RULE)
    return new RoomcastError('invalid_request', `${path} ${fault?.message ?? 'is invalid'}`)
  }
  const code = FASTIFY_ERRORS[error.code]
  if (code === 'uri_too_long') return new RoomcastError(code) // Fastify's message repeats all of it.
  if (code !== undefined) return new RoomcastError(code, maskTokens(error.message))
  if (error.statusCode === 429) return new RoomcastError('rate_limited', 'Too many requests')
  // What JSON.parse and secure-json-parse throw.
  if (error.statusCode === 400 && error instanceof SyntaxError) return new RoomcastError('invalid_json', maskTokens(error.message))
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) return new RoomcastError('invalid_request', maskTokens(error.message))
  return toRoomcastError(error)
}
