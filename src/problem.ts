import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { type ErrorCode, ERRORS, RoomcastError, toRoomcastError } from './errors.ts'
import { maskTokens } from './log.ts'
import { ROOM_RULE } from './protocol/names.ts'

/** Problem details for HTTP APIs (RFC 9457, section 3), with `code`, `retryable` and `retryAfterMs` as extensions. */
export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  code: ErrorCode
  retryable: boolean
  retryAfterMs?: number
}

/** The codes of errors that Fastify and its plugins throw. */
const FASTIFY_ERRORS: Readonly<Record<string, ErrorCode>> = {
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

/** The problem document of an error. */
export function toProblem (error: RoomcastError): Problem {
  return {
    type: `urn:roomcast:error:${error.code}`,
    title: ERRORS[error.code].title,
    status: error.status,
    detail: error.message,
    code: error.code,
    retryable: error.retryable,
    ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs })
  }
}

/** An error handler of Fastify that answers with a problem document; also for errors before there is a route. */
export function handleError (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const known = translate(error)
  if (known.code === 'internal') request.log.error({ err: error }, 'request failed')
  else request.log.debug({ err: error }, 'request refused')
  const problem = toProblem(known)
  // The request's own word: a hook of the application may have refused it before `request.ws` was set.
  if ('upgrade' in request.raw && request.raw.upgrade === true) void reply.header('connection', 'close')
  if (problem.status === 401) void reply.header('www-authenticate', 'Bearer') // RFC 9110, section 11.6.1
  void reply.code(problem.status).headers(retryAfter(problem)).type('application/problem+json').send(problem)
}

/** A not-found handler of Fastify that answers with a problem document. */
export function handleNotFound (request: FastifyRequest, reply: FastifyReply): void {
  const path = maskTokens(request.url).replace(/\?.*$/s, '')
  handleError(new RoomcastError('not_found', `${request.method} ${path} does not exist`) as unknown as FastifyError, request, reply)
}

/** Answers with a problem document on a bare socket, for upgrades that Fastify does not see. Ends the socket. */
export function writeProblem (socket: Duplex, problem: Problem, headers: Record<string, string> = {}): void {
  const body = JSON.stringify(problem)
  const lines = Object.entries({
    'Content-Type': 'application/problem+json',
    'Content-Length': String(Buffer.byteLength(body)),
    Connection: 'close',
    ...retryAfter(problem),
    ...headers
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.once('error', () => { socket.destroy() })
  socket.once('finish', () => { socket.destroy() })
  socket.end(`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\n${lines.join('')}\r\n${body}`)
}

/** The `Retry-After` header of a problem (RFC 9110, section 10.2.3: whole seconds). */
function retryAfter ({ retryAfterMs }: Problem): Record<string, string> {
  return retryAfterMs === undefined ? {} : { 'Retry-After': String(Math.ceil(retryAfterMs / 1_000)) }
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
  if (code === 'uri_too_long') return new RoomcastError(code) // Fastify's message repeats the whole URL.
  if (code !== undefined) return new RoomcastError(code, maskTokens(error.message))
  if (error.statusCode === 429) return new RoomcastError('rate_limited', 'Too many requests')
  // JSON.parse throws these.
  if (error.statusCode === 400 && error instanceof SyntaxError) return new RoomcastError('invalid_json', maskTokens(error.message))
  const { statusCode = 500 } = error
  return statusCode >= 400 && statusCode < 500 ? new RoomcastError('invalid_request', maskTokens(error.message)) : toRoomcastError(error)
}
