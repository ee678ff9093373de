import { isUser } from '../protocol/names.ts'
import { Grants, InvalidGrants } from './grants.ts'

/** Who calls, and what they may do. */
export interface Identity {
  /** The user, and what stands in `from`: a token's `sub`. */
  user: string
  grants: Grants
  /** When it ends, ms since 1970. */
  expiresAt: number
}

/** The claims of a verified token, as far as they concern us. */
export interface Claims {
  sub?: unknown
  /** s since 1970 */
  exp?: unknown
  rooms?: unknown
}

/** A token whose signature is right and whose content is not; `message` says why. */
export class InvalidClaims extends Error {
  override readonly name = 'InvalidClaims'
}

/** The application that Roomcast runs in, calling by itself. */
export const SERVER: Identity = { user: 'server', grants: Grants.everything, expiresAt: Infinity }

/**
 * The identity that a verified token gives; throws `InvalidClaims`.
 *
 * @param defaultGrants for tokens without a `rooms` claim
 */
export function identify (claims: Claims, defaultGrants: unknown): Identity {
  const { sub, exp, rooms = defaultGrants } = claims // Not for null: whoever wrote that did not mean the default.
  if (!isUser(sub)) throw new InvalidClaims('the sub claim has to be a string of 1–255 bytes without control characters')
  if (typeof exp !== 'number' || !Number.isFinite(exp)) throw new InvalidClaims('the exp claim has to be a number')
  try {
    return { user: sub, grants: Grants.compile(rooms, sub), expiresAt: exp * 1_000 }
  } catch (error) {
    if (error instanceof InvalidGrants) throw new InvalidClaims(`in the rooms claim, ${error.message}`)
    throw error
  }
}
