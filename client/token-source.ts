/** A token, or a function that gets one. The function is called again when the token is refused or about to expire. */
export type TokenProvider = string | (() => string | Promise<string>)

/** The current token of a provider. A function is never called while its last call has no result. */
export class TokenSource {
  readonly #provider: TokenProvider
  readonly #marginMs: number
  #current: string | undefined
  #goodUntil = 0
  #asking: Promise<string> | undefined

  /** @param marginMs how long before its `exp` a token is replaced, ms */
  constructor (provider: TokenProvider, marginMs: number) {
    this.#provider = provider
    this.#marginMs = marginMs
  }

  /** Whether the provider may have another token after a refusal. */
  get renewable (): boolean {
    return typeof this.#provider === 'function'
  }

  /**
   * A token for now. Rejects with the error of the function.
   *
   * @param refused the token that the service refused; a function is called again unless it has already replaced this one
   */
  async get (refused?: string): Promise<string> {
    if (typeof this.#provider === 'string') return this.#provider
    if (this.#current !== undefined && this.#current !== refused && Date.now() < this.#goodUntil) return this.#current
    this.#asking ??= this.#ask(this.#provider).finally(() => { this.#asking = undefined })
    return await this.#asking
  }

  async #ask (provider: () => string | Promise<string>): Promise<string> {
    const token = this.#current = await provider()
    this.#goodUntil = readExpiry(token) - this.#marginMs
    return token
  }
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
