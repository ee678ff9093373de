import { RoomcastError } from '../errors.ts'
import { Failure } from './retry.ts'

/** A POST request. */
export interface Post {
  url: string
  headers: Record<string, string>
  body: string | Uint8Array<ArrayBuffer>
}

/** An answer of 2xx. */
export interface Answer {
  /** The JSON. */
  body: unknown
  /** It is the answer of an earlier request with the same key. */
  replayed: boolean
}

/** The codes that come with 5xx and say that nothing was published. */
const CERTAIN = new Set(['unavailable', 'overloaded', 'draining'])

/** What a connection that was never made fails with: by Node's TLS, by its fetch, by Bun. */
const NOT_CONNECTED = /^(?:ERR_TLS_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_SELF_SIGNED_|UND_ERR_CONNECT_TIMEOUT$|ConnectionRefused$)/

/** Sends a request once, and reads the answer to its end, so that the connection can be used again. */
export async function post ({ url, headers, body }: Post, signal: AbortSignal): Promise<Answer | Failure> {
  let response: Response
  let text: string
  try {
    // To follow a redirection, fetch may make a GET of it.
    response = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'manual' })
    text = await response.text()
  } catch (error) {
    return toNoAnswer(error)
  }
  const json = parse(text)
  if (!response.ok) return toRefusal(response, json)
  if (typeof json !== 'object' || json === null) return notRoomcast()
  return { body: json, replayed: response.headers.get('idempotent-replayed') === 'true' }
}

/** A request was answered with success, but not in the way of the service: another one may be at the URL. */
export function notRoomcast (): Failure {
  return new Failure(new RoomcastError('unknown', 'The answer is not one of Roomcast; look at the url'), { mayBeDone: true })
}

/** The error that a problem document stands for. */
export function toError (problem: object): RoomcastError {
  const { code, detail, retryable, retryAfterMs } = problem as Record<string, unknown>
  return new RoomcastError(String(code), String(detail), {
    retryable: retryable === true,
    retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : undefined
  })
}

/** Whether a message may be in the room although the service reported this error for it. */
export function leavesOpen ({ code, retryable }: RoomcastError): boolean {
  return retryable && code !== 'rate_limited' && !CERTAIN.has(code)
}

function toRefusal (response: Response, json: unknown): Failure {
  const { status, headers } = response
  const retryAfterMs = readRetryAfter(headers.get('retry-after'))
  const isWorthRetrying = status === 429 || status >= 500
  if (isProblem(json)) {
    const error = toError(json)
    return new Failure(
      error.retryAfterMs === undefined && retryAfterMs !== undefined ? new RoomcastError(error.code, error.message, { retryable: error.retryable, retryAfterMs }) : error,
      { isWorthRetrying, mayBeDone: status >= 500 && leavesOpen(error) }
    )
  }
  // A proxy has said it, and knows nothing of codes. Its 503 may stand for an answer that was lost.
  const location = headers.get('location')
  const error = new RoomcastError(`http_${status}`, `The answer was ${status}${location === null ? '' : `, to ${location}; redirections are not followed`}`, { retryable: isWorthRetrying, retryAfterMs })
  return new Failure(error, { isWorthRetrying, mayBeDone: status >= 500 })
}

function isProblem (json: unknown): json is object {
  const { type } = (json ?? {}) as { type?: unknown }
  return typeof type === 'string' && type.startsWith('urn:roomcast:error:')
}

function toNoAnswer (error: unknown): Failure {
  const { message, cause } = error as { message?: string, cause?: unknown }
  const why = cause instanceof Error ? cause.message : ''
  const failure = new RoomcastError('unavailable', `There was no answer: ${[message, why].filter((part) => part !== undefined && part !== '').join(': ')}`, { retryable: true, cause: error })
  return new Failure(failure, { isWorthRetrying: true, mayBeDone: !neverConnected(cause ?? error) })
}

function neverConnected (cause: unknown): boolean {
  // One for each address of the host.
  if (cause instanceof AggregateError && cause.errors.length > 0) return cause.errors.every(neverConnected)
  const { code, syscall } = cause as { code?: unknown, syscall?: unknown }
  return syscall === 'connect' || syscall === 'getaddrinfo' || (typeof code === 'string' && NOT_CONNECTED.test(code))
}

/** A `Retry-After` in ms: seconds, or a date. */
function readRetryAfter (value: string | null): number | undefined {
  if (value === null) return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
