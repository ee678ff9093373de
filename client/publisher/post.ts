import { readDelay, readRetryAfter } from '../delay.ts'
import { RoomcastError } from '../errors.ts'
import { isObject, type JsonObject, toObject } from '../json.ts'
import { Failure } from './retry.ts'

/** A POST request. */
export interface Post {
  url: string
  headers: Record<string, string>
  body: string | Uint8Array<ArrayBuffer>
}

/** The answer to a request that succeeded. */
export interface Answer {
  body: JsonObject
  /** Whether the answer repeats that of an earlier request with the same key. */
  replayed: boolean
}

/** The codes with a 5xx status that rule out a publish. */
const CERTAIN = new Set(['unavailable', 'overloaded', 'draining'])

/** The error codes of a failed connection attempt: by Node's TLS, by its fetch, by Bun. */
const NOT_CONNECTED =
  /^(?:ERR_TLS_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_SELF_SIGNED_|UND_ERR_CONNECT_TIMEOUT$|ConnectionRefused$)/

/** Sends a request once, and reads the whole answer, so that the connection can be used again. */
export async function post ({ url, headers, body }: Post, signal: AbortSignal): Promise<Answer | Failure> {
  let response: Response
  let text: string
  try {
    // fetch may follow a redirection with a GET.
    response = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'manual' })
    text = await response.text()
  } catch (error) {
    return toNoAnswer(error)
  }
  const json = parse(text)
  if (!response.ok) return toRefusal(response, json)
  return isObject(json) ? { body: json, replayed: response.headers.get('idempotent-replayed') === 'true' } : notRoomcast()
}

/** The failure of a request that another service answered with success. */
export function notRoomcast (): Failure {
  return new Failure(new RoomcastError('unknown', 'The answer is not one of Roomcast; look at the url'), { mayBeDone: true })
}

/** Converts a problem document to an error. */
export function toError (problem: unknown): RoomcastError {
  const { code, detail, retryable, retryAfterMs } = toObject(problem)
  return new RoomcastError(String(code), String(detail), {
    retryable: retryable === true,
    retryAfterMs: readDelay(retryAfterMs)
  })
}

/** Whether a message with this error may still be in its room. */
export function leavesOpen ({ code, retryable }: RoomcastError): boolean {
  return retryable && code !== 'rate_limited' && !CERTAIN.has(code)
}

function toRefusal ({ status, headers }: Response, json: unknown): Failure {
  const retryAfterMs = readRetryAfter(headers)
  const isWorthRetrying = status === 429 || status >= 500
  if (isProblem(json)) {
    const { code, message, retryable, retryAfterMs: ownMs } = toError(json)
    const error = new RoomcastError(code, message, { retryable, retryAfterMs: ownMs ?? retryAfterMs })
    return new Failure(error, { isWorthRetrying, mayBeDone: status >= 500 && leavesOpen(error) })
  }
  // The refusal of a proxy, which knows no codes. Its 503 may stand for a lost answer.
  const location = headers.get('location')
  const redirection = location === null ? '' : `, to ${location}; redirections are not followed`
  const error = new RoomcastError(`http_${status}`, `The answer was ${status}${redirection}`, { retryable: isWorthRetrying, retryAfterMs })
  return new Failure(error, { isWorthRetrying, mayBeDone: status >= 500 })
}

function isProblem (json: unknown): boolean {
  const { type } = toObject(json)
  return typeof type === 'string' && type.startsWith('urn:roomcast:error:')
}

function toNoAnswer (error: unknown): Failure {
  const { message, cause } = toObject(error)
  const reasons = [message, cause instanceof Error ? cause.message : ''].filter((part) => part !== undefined && part !== '')
  const failure = new RoomcastError('unavailable', `There was no answer: ${reasons.join(': ')}`, { retryable: true, cause: error })
  return new Failure(failure, { isWorthRetrying: true, mayBeDone: !neverConnected(cause ?? error) })
}

function neverConnected (cause: unknown): boolean {
  // It has one error for each address of the host.
  if (cause instanceof AggregateError && cause.errors.length > 0) return cause.errors.every(neverConnected)
  const { code, syscall } = toObject(cause)
  return syscall === 'connect' || syscall === 'getaddrinfo' || (typeof code === 'string' && NOT_CONNECTED.test(code))
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
