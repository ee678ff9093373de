import type { FastifyRequest } from 'fastify'

/** The value of a `token` parameter, in whatever case and however its name is escaped. */
const TOKEN = /([?&](?:t|%74)(?:o|%6f)(?:k|%6b)(?:e|%65)(?:n|%6e)=)[^&#]*/gi

/** Anything that looks like a JWT: two base64url segments that are JSON objects, and a signature. */
const JWT = /\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]*/g

/** A text without the tokens in it. */
export function maskTokens (text: string): string {
  return text.replace(TOKEN, '$1***').replace(JWT, '***')
}

/** A request in the log. */
type LoggedRequest = { // No interface: Fastify wants an implicit index signature.
  method: string
  url: string
  host: string
  remoteAddress: string
  remotePort?: number
}

/** A request for the log: as Fastify writes it, without tokens. Headers are never logged. */
export function serializeRequest (request: FastifyRequest): LoggedRequest {
  return {
    method: request.method,
    url: maskTokens(request.url),
    host: request.host,
    remoteAddress: request.ip,
    ...(request.socket?.remotePort !== undefined && { remotePort: request.socket.remotePort })
  }
}

/** How an error stands in the log. Only what every error has: what libraries hang on theirs may hold a token. */
export function serializeError (error: unknown): { type: string, code?: unknown, message: string, stack: string } {
  if (!(error instanceof Error)) return { type: typeof error, message: maskTokens(String(error)), stack: '' }
  return {
    type: error.constructor.name,
    code: (error as { code?: unknown }).code,
    message: maskTokens(error.message),
    stack: maskTokens(error.stack ?? '')
  }
}
