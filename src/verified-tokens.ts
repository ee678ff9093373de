import type { Identity } from './rooms/identity.ts'

/** Clocks may differ by this much, ms. */
export const CLOCK_TOLERANCE_MS = 5_000
/** Tokens that are kept, and characters of them, in each of the two halves. */
const HALF_TOKENS = 5_000
const HALF_CHARACTERS = 2 * 1024 * 1024

/**
 * Tokens whose signature was verified, and who they stand for: a client comes back with the token that it had, and a
 * backend publishes with the same one all day. Those used least recently are forgotten: there are two halves, and when one
 * is full, what of the other was not asked for meanwhile goes.
 */
export class VerifiedTokens {
  #recent = new Map<string, Identity>()
  #older = new Map<string, Identity>()
  #characters = 0

  /** Who a token stands for; undefined where it is not known, or has ended. */
  get (token: string): Identity | undefined {
    const recent = this.#recent.get(token)
    const identity = recent ?? this.#older.get(token)
    if (identity === undefined || identity.expiresAt + CLOCK_TOLERANCE_MS < Date.now()) return undefined
    if (recent === undefined) this.add(token, identity)
    return identity
  }

  add (token: string, identity: Identity): void {
    this.#characters += token.length
    if (this.#characters > HALF_CHARACTERS || this.#recent.size >= HALF_TOKENS) {
      this.#older = this.#recent
      this.#recent = new Map()
      this.#characters = token.length
    }
    // A copy: V8 would keep the header or the URL that the token is a slice of. What was verified is ASCII (RFC 7515, section 7.1).
    this.#recent.set(Buffer.from(token, 'latin1').toString('latin1'), identity)
  }
}
