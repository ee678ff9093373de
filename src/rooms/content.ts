import { RoomcastError } from '../errors.ts'
import type { Content } from '../protocol/message.ts'

/**
 * Checks the shape of a content; throws `invalid_request`. Schemas check REST and frames; no schema has checked the values
 * of the application.
 */
export function checkContent (content: Content): void {
  if (typeof content !== 'object' || content === null) {
    throw invalid('A message is an object with exactly one of "text", "data" and "bytes"')
  }
  const { text, data, bytes, event, kind } = content as Record<string, unknown>
  if (kind !== undefined) throw invalid('A message has no "kind"; pass { text }, { data, event? } or { bytes, event? }')
  if (Number(text !== undefined) + Number(data !== undefined) + Number(bytes !== undefined) !== 1) {
    throw invalid('A message has exactly one of "text", "data" and "bytes"')
  }
  if (text !== undefined && typeof text !== 'string') throw invalid('"text" must be a string')
  if (bytes !== undefined && !(bytes instanceof Uint8Array)) throw invalid('"bytes" must be a Uint8Array')
  if (event !== undefined && typeof event !== 'string') throw invalid('"event" must be a string')
  if (typeof data === 'function' || typeof data === 'symbol') throw invalid('"data" must be JSON')
}

function invalid (text: string): RoomcastError {
  return new RoomcastError('invalid_request', text)
}
