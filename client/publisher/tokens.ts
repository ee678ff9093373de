/** Where tokens come from: one that stays, or a function that gets a fresh one. */
export type TokenProvider = string | (() => string | Promise<string>)

/** A token is replaced this long before its `exp`, ms: it has to be good when the request arrives, on a clock that may differ. */
const MARGIN_MS = 10_000

/** The token that requests go out with. One of a function is kept until shortly before its `exp`. */
export class Tokens {
  readonly #source: TokenProvider
  #current: string | undefined
  #goodUntil = 0
  #asking: Promise<string> | undefined

  constructor (source: TokenProvider) {
    this.#source = typeof source === 'string' ? check(source) : source
  }

  /** Whether there may be another one after a token was refused. */
  get areRenewable (): boolean {
    return typeof this.#source === 'function'
  }

  /**
   * A token that is good for now. Rejects with what the function throws.
   *
   * @param refused the token that the service did not accept; another one is asked for, unless somebody has done that
   */
  async get (refused?: string): Promise<string> {
    if (typeof this.#source === 'string') return this.#source
    if (this.#current !== undefined && this.#current !== refused && Date.now() < this.#goodUntil) return this.#current
    this.#asking ??= this.#ask(this.#source).finally(() => { this.#asking = undefined })
    return await this.#asking
  }

  async #ask (source: () => string | Promise<string>): Promise<string> {
    const token = check(await source())
    this.#current = token
    this.#goodUntil = (readExpiry(token) ?? Infinity) - MARGIN_MS
    return token
  }
}

/** A token that can stand in a header. One that was read from a file may end with a line feed. */
function check (given: unknown): string {
  const token = typeof given === 'string' ? given.trim() : ''
  if (!/^[!-~]+$/.test(token)) throw new TypeError('A token is a string of printable ASCII characters without spaces')
  return token
}

/** When a JWT expires, ms since 1970; of anything else nothing is known. */
function readExpiry (token: string): number | undefined {
  try {
    const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
    const { exp } = JSON.parse(atob(payload)) as { exp?: unknown }
    return typeof exp === 'number' ? exp * 1_000 : undefined
  } catch {
    return undefined
  }
}
