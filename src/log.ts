import type { FastifyRequest } from 'fastify'

/** The value of a `token` parameter, in whatever case and however its name is escaped. */
const TOKEN = /([?&](?:t|%74)(?:o|%6f)(?:k|%6b)(?:e|%65)(?:n|%6e)=)[^&#]*/gi

/** A run of the characters of JWTs (RFC 7515, section 7.1): each is read once, however often a token seems to begin. */
const RUN = /[\w.-]+/g
/** The beginnings of a JWT's header and payload, which are JSON objects in base64url. */
const HEADER = 'eyJ'
const PAYLOAD = '.eyJ'

/** A text without the tokens in it; in linear time, because clients write most of these texts. */
export function maskTokens (text: string): string {
  const masked = text.replace(TOKEN, '$1***')
  return masked.includes(PAYLOAD) ? masked.replace(RUN, maskJwt) : masked
}

/** A run of characters without its JWTs, and without the rest that follows them. */
function maskJwt (run: string): string {
  const start = run.indexOf(HEADER)
  return start >= 0 && run.includes(PAYLOAD, start) ? `${run.slice(0, start)}***` : run
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
