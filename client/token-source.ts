import type { Clock } from './clock.ts'
import { toCause } from './errors.ts'
import { invalid } from './payload.ts'

/** The parameters of a token function. */
export interface TokenRequest {
  /** Aborts when the function has taken too long: its result is then ignored, and the function is called again later. */
  readonly signal: AbortSignal
}

/** A token, or a function that gets one. The function is called again when the token is refused or about to expire. */
export type TokenProvider = string | ((request: TokenRequest) => string | Promise<string>)

/** The options of a token source. */
export interface TokenSourceOptions {
  clock: Clock
  /** How long before its `exp` a token is replaced, ms. */
  marginMs: number
  /** The longest wait for the function, ms. */
  timeoutMs: number
}

/** The current token of a provider. A function is never called while its last call has no result and no timeout. */
export class TokenSource {
  readonly #provider: TokenProvider
  readonly #options: TokenSourceOptions
  #current: string | undefined
  #goodUntil = 0
  #asking: Promise<string> | undefined
  #abort: AbortController | undefined

  constructor (provider: TokenProvider, options: TokenSourceOptions) {
    this.#provider = provider
    this.#options = options
  }

  /** Whether the provider may have another token after a refusal. */
  get renewable (): boolean {
    return typeof this.#provider === 'function'
  }

  /**
   * A token for now. Rejects with the error of the function, after its timeout, and with `invalid_request` for a text that is no token.
   *
   * @param refused the token that the service refused; a function is called again unless it has already replaced this one
   */
  async get (refused?: string): Promise<string> {
    if (typeof this.#provider !== 'function') return readToken(this.#provider)
    const isGood = this.#current !== refused && this.#options.clock.wall() < this.#goodUntil
    if (this.#current !== undefined && isGood) return this.#current
    this.#asking ??= this.#ask(this.#provider).finally(() => { this.#asking = undefined })
    return await this.#asking
  }

  /** Aborts a call of the function. */
  stop (): void {
    this.#abort?.abort()
  }

  async #ask (provider: (request: TokenRequest) => string | Promise<string>): Promise<string> {
    const { clock, timeoutMs, marginMs } = this.#options
    const abort = this.#abort = new AbortController()
    let cancel = (): void => {}
    const late = new Promise<never>((_resolve, reject) => {
      abort.signal.addEventListener('abort', () => { reject(new Error(`The token function has not returned within ${timeoutMs} ms`)) })
      cancel = clock.after(timeoutMs, () => { abort.abort() })
    })
    late.catch(() => {}) // A function that throws at once leaves it without another handler.
    try {
      const token = this.#current = readToken(await Promise.race([provider({ signal: abort.signal }), late]))
      this.#goodUntil = readExpiry(token) - marginMs
      return token
    } catch (error) {
      throw toCause(error)
    } finally {
      cancel()
    }
  }
}

/**
 * Reads a token: it must fit into a header. Spaces around it, as in a token from a file, and the prefix `Bearer` are removed.
 * Throws `invalid_request` for any other value.
 */
export function readToken (given: unknown): string {
  const token = typeof given === 'string' ? given.trim().replace(/^Bearer(?: +|$)/i, '') : ''
  if (!/^[!-~]+$/.test(token)) {
    const found = typeof given === 'string' ? 'has other characters, or is empty' : `is ${given === null ? 'null' : typeof given}`
    throw invalid(`A token is a string of printable ASCII characters without spaces; this one ${found}`)
  }
  return token
}

/** When a JWT expires, ms since 1970; infinity for other tokens. */
function readExpiry (token: string): number {
  try {
    const { exp }: { exp?: unknown } = JSON.parse(atob((token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/')))
    return typeof exp === 'number' ? exp * 1_000 : Infinity
  } catch {
    return Infinity
  }
}
