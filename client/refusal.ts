import { CLOSE_CODES } from '../src/protocol/close-codes.ts'

/**
 * The close code that a WebSocket would have for a refusal; 1006 for other statuses.
 *
 * @param code the code of the problem document
 */
export function codeOfRefusal (status: number, code?: unknown): number {
  const { unauthorized, overloaded, connectionLimit } = CLOSE_CODES
  if (status === 401) return unauthorized
  if (status === 429 && code === 'connection_limit') return connectionLimit
  return status === 429 || status === 503 ? overloaded : 1006
}
