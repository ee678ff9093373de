import { RoomcastError } from '../errors.ts'
import { invalid } from './content.ts'

/** What can stand in a header as it is. */
const KEY = /^[!-~](?:[ -~]{0,253}[!-~])?$/

/** The key of a publish: the caller's, or one of its own. Throws `invalid_request` for what cannot be one. */
export function toKey (given: string | undefined): string {
  if (given === undefined) return globalThis.crypto.randomUUID()
  if (typeof given !== 'string' || !KEY.test(given)) throw invalid('A key is 1–255 printable ASCII characters, without a space at either end')
  return given
}

/**
 * What is said of a message that may be in the room or not.
 *
 * @param hasOwnKey whether the caller gave the key: only then may the caller repeat it without making a second message
 */
export function toUnknown (cause: RoomcastError, hasOwnKey: boolean): RoomcastError {
  return new RoomcastError('unknown', `It may have been published or not; the last attempt failed with ${cause.code}: ${cause.message}`, { retryable: hasOwnKey, retryAfterMs: cause.retryAfterMs, cause })
}
