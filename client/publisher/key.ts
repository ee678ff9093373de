import { RoomcastError } from '../errors.ts'
import { invalid } from '../payload.ts'

/** The keys that an HTTP header carries unchanged. */
const KEY = /^[!-~](?:[ -~]{0,253}[!-~])?$/

/** The key of a publish: the given one, or a generated one. Throws `invalid_request` for an invalid key. */
export function toKey (given: unknown): string {
  if (given === undefined) return globalThis.crypto.randomUUID()
  if (typeof given !== 'string' || !KEY.test(given)) {
    throw invalid('A key is 1–255 printable ASCII characters, without a space at either end')
  }
  return given
}

/**
 * The error `unknown` of a message that may be in its room.
 *
 * @param hasOwnKey whether the caller gave the key: only then is a retry by the caller safe
 */
export function toUnknown (cause: RoomcastError, hasOwnKey: boolean): RoomcastError {
  const { code, message, retryAfterMs } = cause
  const text = `It may have been published or not; the last attempt failed with ${code}: ${message}`
  return new RoomcastError('unknown', text, { retryable: hasOwnKey, retryAfterMs, cause })
}
