import { RoomcastError } from './errors.ts'

/** A token, or where to get one. It is asked again when the service refuses the token, and when it is about to expire. */
export type TokenProvider = string | (() => string | Promise<string>)

/** A token is not used for a new connection when it ends sooner than this, ms. */
const MARGIN_MS = 30_000

/** Keeps the current token. The provider is never asked again while it has not answered. */
export class TokenSource {
  readonly #provider: TokenProvider
  #current: string | undefined
  #refused: string | undefined
  #asking: Promise<string> | undefined

  constructor (provider: TokenProvider) {
    this.#provider = provider
  }

  /** Whether there may be another token than the one that was refused. */
  get renewable (): boolean {
    return typeof this.#provider === 'function'
  }

  /** A token that was not refused; rejects where the provider fails, or has no other. */
  async get (): Promise<string> {
    if (this.#current !== undefined && this.#current !== this.#refused && !isAboutToExpire(this.#current)) return this.#current
    this.#asking ??= this.#ask().finally(() => { this.#asking = undefined })
    return await this.#asking
  }

  /** The service did not accept a token. */
  refuse (token: string): void {
    this.#refused = token
  }

  async #ask (): Promise<string> {
    const token = typeof this.#provider === 'string' ? this.#provider : await this.#provider()
    if (token === this.#refused) throw new RoomcastError('unauthorized', 'There is no other token')
    this.#current = token
    return token
  }
}

/** Whether a JWT says so; of other tokens it is not known. */
function isAboutToExpire (token: string): boolean {
  try {
    const { exp } = JSON.parse(atob((token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/'))) as { exp?: number }
    return exp !== undefined && exp * 1_000 < Date.now() + MARGIN_MS
  } catch {
    return false
  }
}
