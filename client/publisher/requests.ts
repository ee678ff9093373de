import { RoomcastError } from '../errors.ts'
import type { TokenSource } from '../token-source.ts'

/** The bound of a wait before another attempt: at first, and at the most, ms. */
const FIRST_MS = 100
const MAX_MS = 5_000

/** A request; the same at each attempt. */
export interface Request {
  path: string
  headers: Record<string, string>
  body: string | Uint8Array
  signal: AbortSignal | undefined
}

/** What was answered. */
export interface Answer {
  headers: Headers
  body: Record<string, unknown>
}

/** An attempt that failed. */
interface Failure {
  error: RoomcastError
  unauthorized: boolean
  /** Whether what was asked may have been done all the same. */
  maybe: boolean
}

export interface RequestsOptions {
  url: string
  token: TokenSource
  /** Of one attempt. */
  timeoutMs: number
  fetch: typeof fetch
}

/** Makes requests until they succeed, or it is of no use. */
export class Requests {
  readonly #options: RequestsOptions

  constructor (options: RequestsOptions) {
    this.#options = options
  }

  /**
   * Rejects with what the service said; with `unknown`, when there was no answer in time and it may have been done.
   *
   * @param giveUpAt no attempt begins after this, ms since 1970
   */
  async make (request: Request, giveUpAt: number): Promise<Answer> {
    let maybe = false
    let renewed = false
    for (let attempt = 0; ; attempt++) {
      const token = await this.#options.token.get()
      const outcome = await this.#attempt(request, token)
      if ('body' in outcome) return outcome
      const { error } = outcome
      if (outcome.unauthorized && !renewed && this.#options.token.renewable) {
        renewed = true
        this.#options.token.refuse(token)
        continue
      }
      if (!error.retryable) throw error
      maybe ||= outcome.maybe
      const ms = Math.max(error.retryAfterMs ?? 0, Math.random() * Math.min(MAX_MS, FIRST_MS * 2 ** attempt))
      if (Date.now() + ms > giveUpAt) throw maybe ? new RoomcastError('unknown', `There was no answer in time; it may have been published (${error.message})`, { cause: error }) : error
      await sleep(ms, request.signal)
    }
  }

  async #attempt ({ path, headers, body, signal }: Request, token: string): Promise<Answer | Failure> {
    const { url, timeoutMs, fetch } = this.#options
    try {
      const response = await fetch(`${url}/v1${path}`, {
        method: 'POST',
        headers: { ...headers, authorization: `Bearer ${token}` },
        body: body as BodyInit,
        signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal === undefined ? [] : [signal])])
      })
      // To its end, or the connection could not be used again.
      const text = await response.text()
      return response.ok ? { headers: response.headers, body: JSON.parse(text) as Record<string, unknown> } : toFailure(response, text)
    } catch (error) {
      signal?.throwIfAborted()
      const { message, cause } = error as Error & { cause?: { code?: string, message?: string } }
      const maybe = cause?.code !== 'ECONNREFUSED' && cause?.code !== 'ENOTFOUND'
      return { error: new RoomcastError('unavailable', `The service cannot be reached: ${cause?.message ?? message}`, { retryable: true, cause: error }), unauthorized: false, maybe }
    }
  }
}

/** What an error answer says: a problem document (RFC 9457), or something of a proxy. */
function toFailure ({ status, headers }: Response, text: string): Failure {
  const problem = parseProblem(text)
  const retryAfter = Number(headers.get('retry-after') ?? NaN)
  const retryAfterMs = problem.retryAfterMs ?? (Number.isFinite(retryAfter) ? retryAfter * 1_000 : undefined)
  const retryable = problem.retryable ?? (status === 429 || status >= 500)
  return {
    error: new RoomcastError(problem.code ?? `http_${status}`, problem.detail ?? `The service answered with ${status}`, { retryable, retryAfterMs }),
    unauthorized: status === 401,
    // A 503 of ours says that nothing was done (docs/errors.md), and so does one of a proxy.
    maybe: status >= 500 && status !== 503
  }
}

function parseProblem (text: string): { code?: string, detail?: string, retryable?: boolean, retryAfterMs?: number } {
  try {
    return JSON.parse(text) as object
  } catch {
    return {}
  }
}

async function sleep (ms: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer)
      reject(signal?.reason instanceof Error ? signal.reason : new DOMException('Aborted', 'AbortError'))
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort)
  })
}
