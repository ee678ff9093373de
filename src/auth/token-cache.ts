import type { Identity } from './identity.ts'

/** Bounds of each of the two generations: tokens, and their characters together. */
const GENERATION_TOKENS = 5_000
const GENERATION_CHARACTERS = 2 * 1024 * 1024

/**
 * Verified tokens with their identities: a client reconnects with the same token, and a backend publishes with the same
 * token all day. The least recently used tokens are evicted. There are two generations: when the recent one is full, the
 * cache drops the tokens of the older one that were not used meanwhile.
 */
export class TokenCache {
  readonly #toleranceMs: number
  #recent = new Map<string, Identity>()
  #older = new Map<string, Identity>()
  #characters = 0

  /** @param toleranceMs time after its expiry in which a token is still accepted, ms */
  constructor (toleranceMs: number) {
    this.#toleranceMs = toleranceMs
  }

  /** The identity of a token; undefined if the token is not cached or has expired. */
  get (token: string): Identity | undefined {
    const recent = this.#recent.get(token)
    const identity = recent ?? this.#older.get(token)
    if (identity === undefined || identity.expiresAt + this.#toleranceMs < Date.now()) return undefined
    if (recent === undefined) this.add(token, identity)
    return identity
  }

  /** Caches a verified token. */
  add (token: string, identity: Identity): void {
    this.#characters += token.length
    if (this.#characters > GENERATION_CHARACTERS || this.#recent.size >= GENERATION_TOKENS) {
      this.#older = this.#recent
      this.#recent = new Map()
      this.#characters = token.length
    }
    // A copy: V8 would keep the header or the URL of which the token is a slice. Verified tokens are ASCII (RFC 7515, section 7.1).
    this.#recent.set(Buffer.from(token, 'latin1').toString('latin1'), identity)
  }
}
