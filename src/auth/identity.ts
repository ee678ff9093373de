import { RoomcastError } from '../errors.ts'
import { isReservedUser, isUser, SERVER_USER } from '../protocol/names.ts'
import { Grants, type GrantsClaim, InvalidGrants } from './grants.ts'

/** A caller and its grants. */
export interface Identity {
  /** The user, and the `from` of its messages: a token's `sub`. */
  user: string
  grants: Grants
  /** The end of the identity, ms since 1970. */
  expiresAt: number
}

/** A caller in plain values. */
export interface Caller {
  /** The user, and the `from` of its messages: 1–255 bytes without control characters. */
  user: string
  grants: GrantsClaim
}

/** The claims of a verified token that the service reads. */
export interface Claims {
  sub?: unknown
  aud?: unknown
  /** s since 1970 */
  exp?: unknown
  rooms?: unknown
}

/** A token with a valid signature and unusable claims; `message` gives the reason. */
export class InvalidClaims extends Error {
  override readonly name = 'InvalidClaims'
}

/** The rule of reserved names, for people. */
const RESERVED_RULE = 'the names "server" and "key:…" are reserved for the application and for API keys; choose another name'

/** The application that embeds Roomcast. */
export const SERVER: Identity = { user: SERVER_USER, grants: Grants.everything, expiresAt: Infinity }

/**
 * The identity that a verified token gives; throws `InvalidClaims`.
 *
 * @param defaultGrants for tokens without a `rooms` claim
 */
export function identify (claims: Claims, defaultGrants: unknown): Identity {
  const { sub, exp, rooms = defaultGrants } = claims // `null` is a mistake and does not mean the default.
  if (!isUser(sub)) throw new InvalidClaims('the sub claim has to be a string of 1–255 bytes without control characters')
  if (isReservedUser(sub)) throw new InvalidClaims(RESERVED_RULE)
  if (typeof exp !== 'number' || !Number.isFinite(exp)) throw new InvalidClaims('the exp claim has to be a number')
  try {
    return { user: sub, grants: Grants.compile(rooms, sub), expiresAt: exp * 1_000 }
  } catch (error) {
    if (error instanceof InvalidGrants) throw new InvalidClaims(`in the rooms claim, ${error.message}`)
    throw error
  }
}

/** The identity of a caller in plain values; throws `invalid_request`. */
export function identityOf (caller: Caller): Identity {
  if (typeof caller !== 'object' || caller === null) throw new RoomcastError('invalid_request', 'The caller has to be { user, grants }')
  try {
    const { user, grants } = caller
    if (!isUser(user)) throw new RoomcastError('invalid_request', 'The user has to be a string of 1–255 bytes without control characters')
    if (isReservedUser(user)) throw new RoomcastError('invalid_request', RESERVED_RULE)
    return { user, grants: Grants.compile(grants, user), expiresAt: Infinity }
  } catch (error) {
    if (error instanceof RoomcastError) throw error
    // Also a getter or a Proxy of the application that throws.
    throw new RoomcastError('invalid_request', error instanceof InvalidGrants ? error.message : 'The caller cannot be read')
  }
}
