import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import type { FrameId, ServerFrames } from '../src/protocol/frames.ts'

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
export type Reply<Body> = { ok: true, status: number, body: Body } | { ok: false, status: number, problem: Problem }

/** The problem of a publish that is too large. A proxy may reply with the same status, in HTML. */
const TOO_LARGE: Problem = { code: 'message_too_large', detail: 'The message is larger than the service takes', retryable: false }

/** The settings of the requests, and the listener for their failures. */
export interface RestOptions {
  url: string
  token: string
  fetch: typeof fetch
  /** A request failed: the link must end, so that the next one repeats its frames. */
  onEnd: (code: number) => void
}

/** Requests to the service's REST API. */
export class Rest {
  readonly #options: RestOptions
  readonly #abort = new AbortController()

  constructor (options: RestOptions) {
    this.#options = options
  }

  /** Sends a GET, or a POST of a body. Resolves with the reply; with undefined after the end of the link. */
  async send<Body> (
    path: string,
    headers?: Record<string, string>,
    body?: string | Uint8Array<ArrayBuffer>
  ): Promise<Reply<Body> | undefined> {
    const { url, token, fetch, onEnd } = this.#options
    const { signal } = this.#abort
    const timer = setTimeout(() => { onEnd(CLOSE_CODES.noHeartbeat.code) }, ANSWER_MS)
    try {
      const response = await fetch(`${url}/v1${path}`, {
        ...(body !== undefined && { method: 'POST', body }),
        headers: { authorization: `Bearer ${token}`, ...headers },
        signal
      })
      const { ok, status } = response
      if (status === 401) onEnd(CLOSE_CODES.unauthorized.code)
      const json = status === 413 ? TOO_LARGE : await response.json()
      if (!signal.aborted) return ok ? { ok, status, body: json } : { ok: false, status, problem: json }
    } catch {
      onEnd(1006)
    } finally {
      clearTimeout(timer)
    }
  }

  /** Aborts the requests. */
  stop (): void {
    this.#abort.abort()
  }
}

/** Converts a problem document to the frame that reports the same error. */
export function toErrorFrame (id: FrameId, { code, detail: text, retryable, retryAfterMs }: Problem): ServerFrames['error'] {
  return { type: 'error', id, code, text, retryable, retryAfterMs }
}
