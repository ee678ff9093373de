import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import type { FrameId, ServerFrames } from '../src/protocol/frames.ts'
import type { Clock } from './clock.ts'
import { readRetryAfter } from './delay.ts'
import { toCause } from './errors.ts'
import { isObject, type JsonObject, toObject } from './json.ts'
import type { LinkEnd } from './link.ts'
import { codeOfRefusal } from './refusal.ts'

/** The longest wait for a reply, ms. */
const ANSWER_MS = 30_000

/** The members of a problem document that an error frame has as well. */
export interface Problem {
  code: string
  detail: string
  retryable: boolean
  retryAfterMs?: number
}

/** A reply of the service. */
export type Reply = { ok: true, status: number, body: JsonObject } | { ok: false, status: number, problem: Problem }

/** The problem of a publish that is too large. A proxy may reply with the same status, in HTML. */
const TOO_LARGE: Problem = { code: 'message_too_large', detail: 'The message is larger than the service takes', retryable: false }

/** The problem of a request that cannot be sent. */
export function invalidProblem (code: string, detail: string): Problem {
  return { code, detail, retryable: false }
}

/** The settings of the requests, and the listener for their failures. */
export interface RestOptions {
  url: string
  token: string
  clock: Clock
  fetch: typeof fetch
  /** A request failed: the link must end, so that the next one repeats its frames. */
  onEnd: (end: LinkEnd) => void
}

/** Requests to the service's REST API. */
export class Rest {
  readonly #options: RestOptions
  readonly #abort = new AbortController()

  constructor (options: RestOptions) {
    this.#options = options
  }

  /**
   * Sends a GET, or a POST of a body. Resolves with the reply of the service. Resolves with undefined after the end of the link,
   * and ends the link when something else than the service replies, such as a proxy.
   */
  async send (path: string, headers?: Record<string, string>, body?: string | Uint8Array<ArrayBuffer>): Promise<Reply | undefined> {
    const { clock, onEnd } = this.#options
    const cancel = clock.after(ANSWER_MS, () => {
      onEnd({ code: CLOSE_CODES.noHeartbeat, cause: new Error(`There was no answer within ${ANSWER_MS} ms`) })
    })
    try {
      const response = await this.#fetch(path, { ...(body !== undefined && { method: 'POST', body }), headers: { ...headers } })
      const reply = await readReply(response)
      if (reply !== undefined) return this.#abort.signal.aborted ? undefined : reply
      const { status } = response
      const retryAfterMs = readRetryAfter(response.headers)
      onEnd({ code: codeOfRefusal(status), retryAfterMs, cause: new Error(`A request was answered with ${status}`) })
    } catch (error) {
      onEnd({ code: 1006, cause: toCause(error) })
    } finally {
      cancel()
    }
  }

  /** Whether the service answers at all, whatever the answer is. */
  async isAlive (): Promise<boolean> {
    try {
      const { status, body } = await this.#fetch('/rooms/@all', { cache: 'no-store' })
      await body?.cancel()
      return status < 500
    } catch {
      return false
    }
  }

  /** Aborts the requests. */
  stop (): void {
    this.#abort.abort()
  }

  async #fetch (path: string, init: RequestInit): Promise<Response> {
    const { url, token, fetch } = this.#options
    const { signal } = this.#abort
    return await fetch(`${url}/v1${path}`, { ...init, headers: { authorization: `Bearer ${token}`, ...init.headers }, signal })
  }
}

/** Converts a problem document to the frame that reports the same error. */
export function toErrorFrame (id: FrameId, { code, detail: text, retryable, retryAfterMs }: Problem): ServerFrames['error'] {
  return { type: 'error', id, code, text, retryable, retryAfterMs }
}

/** Whether a value has the members of a problem document that the client needs. */
export function isProblem (value: unknown): value is JsonObject & Problem {
  const { code, detail, retryable } = toObject(value)
  return typeof code === 'string' && typeof detail === 'string' && typeof retryable === 'boolean'
}

/** The reply in a response of the service; undefined for the response of something else. */
async function readReply (response: Response): Promise<Reply | undefined> {
  const { ok, status } = response
  if (status === 401) return undefined
  if (status === 413) return { ok: false, status, problem: TOO_LARGE }
  const body: unknown = await response.json().catch(() => undefined)
  if (ok) return isObject(body) ? { ok, status, body } : undefined
  return isProblem(body) ? { ok, status, problem: body } : undefined
}
