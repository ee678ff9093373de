import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { type ErrorCode, ERRORS, RoomcastError, toRoomcastError } from './errors.ts'
import { maskTokens } from './log.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether a message of this request may be in its room, so that no later failure may report the opposite. */
    roomcastPublishing?: boolean
  }
}

const CONTENT_TYPE = 'application/problem+json; charset=utf-8'
/** The challenge of a 401 (RFC 9110, section 11.6.1). */
const CHALLENGE = { 'WWW-Authenticate': 'Bearer' }
/** Headers of an error that would describe another body than the problem document. */
const DESCRIBES_BODY = /^(?:content-.*|transfer-encoding|trailer)$/i
/** The problem that a reply is being answered with. */
const kProblem = Symbol('roomcast.problem')

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
  FST_ERR_HANDLER_TIMEOUT: 'timeout'
}

/** The codes of errors that hooks of the application throw, by status; other statuses are `invalid_request` or `internal`. */
const CODES: Readonly<Record<number, ErrorCode>> = {
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  408: 'timeout',
  413: 'message_too_large',
  414: 'uri_too_long',
  415: 'unsupported_media_type',
  426: 'upgrade_required',
  429: 'rate_limited',
  503: 'unavailable'
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

/**
 * An error handler of Fastify that answers with a problem document; also for errors before there is a route. It is the
 * handler of each route and of the scope: Fastify gives the scope's handler the error of a hook that fails on the document.
 */
export function handleError (error: FastifyError, request: FastifyRequest, reply: FastifyReply & { [kProblem]?: Problem }): void {
  const { [kProblem]: unsent } = reply
  if (unsent !== undefined) {
    request.log.error({ err: error }, 'a hook failed on a problem document')
    writeWithoutHooks(reply, unsent)
    return
  }
  const problem = translate(error, request, reply)
  reply[kProblem] = problem
  if (problem.status >= 500 && !(error instanceof RoomcastError)) request.log.error({ err: error }, 'request failed')
  else request.log.debug({ err: error }, 'request refused')
  if (isUpgrade(request)) void reply.header('connection', 'close')
  if (problem.status === 401 && !reply.hasHeader('www-authenticate')) void reply.headers(CHALLENGE)
  // Of the answer that failed.
  void reply.removeHeader('content-encoding').serializer(JSON.stringify)
  void reply.code(problem.status).headers(retryAfter(problem)).type(CONTENT_TYPE).send(problem)
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

/** Answers with a problem document on a raw response. */
function writeWithoutHooks (reply: FastifyReply, problem: Problem): void {
  const body = JSON.stringify(problem)
  void reply.hijack()
  if (reply.raw.headersSent) {
    reply.raw.destroy()
    return
  }
  reply.raw.writeHead(problem.status, {
    'Content-Type': CONTENT_TYPE,
    'Content-Length': Buffer.byteLength(body),
    ...(problem.status === 401 && CHALLENGE),
    ...(isUpgrade(reply.request) && { Connection: 'close' }),
    ...retryAfter(problem)
  })
  reply.raw.end(body)
}

/** Whether a request asks for an upgrade. A hook of the application may have refused it before `request.ws` was set. */
function isUpgrade ({ raw }: FastifyRequest): boolean {
  return 'upgrade' in raw && raw.upgrade === true
}

function translate (error: FastifyError, request: FastifyRequest, reply: FastifyReply): Problem {
  if (request.roomcastPublishing === true) {
    return toProblem(new RoomcastError('publish_unknown', 'The message may be in the room: the answer failed after it was published'))
  }
  if (error instanceof RoomcastError) return toProblem(error)
  const code = FASTIFY_ERRORS[error.code]
  if (code === 'uri_too_long') return toProblem(new RoomcastError(code)) // Fastify's message repeats the whole URL.
  if (code !== undefined) return toProblem(new RoomcastError(code, maskTokens(error.message)))
  return translateForeign(error, reply)
}

/** An error with a status, as `http-errors` and `@fastify/sensible` make it. */
interface HttpError {
  status?: unknown
  statusCode?: unknown
  message?: unknown
  headers?: unknown
  expose?: unknown
}

/** The problem of an error that a hook of the application has thrown: with the status and the headers that Fastify would give it. */
function translateForeign (error: HttpError, reply: FastifyReply): Problem {
  const { statusCode, status: otherStatus, message, headers, expose } = Object(error) as HttpError
  const status = [statusCode, otherStatus, reply.statusCode].find(isErrorStatus) ?? 500
  const code = CODES[status] ?? (status < 500 ? 'invalid_request' : 'internal')
  for (const [name, value] of Object.entries(Object(headers) as object)) {
    if (!DESCRIBES_BODY.test(name)) void reply.header(name, value)
  }
  const isPublic = (expose ?? status < 500) === true && typeof message === 'string' && message !== ''
  const hidden = status === 500 ? toRoomcastError(error).message : STATUS_CODES[status]
  const known = new RoomcastError(code, isPublic ? maskTokens(message) : hidden, readRetryAfter(reply))
  return { ...toProblem(known), status }
}

function isErrorStatus (status: unknown): status is number {
  return Number.isInteger(status) && Number(status) >= 400 && Number(status) <= 599
}

/** The wait that a hook of the application has set, ms. */
function readRetryAfter (reply: FastifyReply): number | undefined {
  const value = String(reply.getHeader('retry-after') ?? '')
  return /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : undefined
}
