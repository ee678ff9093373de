import { encodeBase64 } from '../base64.ts'
import { RoomcastError } from '../errors.ts'

/** What is published: exactly one of a text, any JSON, and bytes; and what it is called. */
export type Content<Data = unknown> =
  | { text: string, event?: string }
  | { data: Data, event?: string }
  | { bytes: Uint8Array, event?: string }

/** A message as it stands in a request for several. */
export interface Item {
  text?: string
  data?: unknown
  base64?: string
  event?: string
}

/** The message as JSON; throws where it is not exactly one. */
export function toItem (content: Content): Item {
  const { text, data, bytes, event } = content as { text?: string, data?: unknown, bytes?: Uint8Array, event?: string }
  const kinds = Number(text !== undefined) + Number(data !== undefined) + Number(bytes !== undefined)
  if (kinds !== 1) throw new RoomcastError('invalid_request', 'A message has exactly one of text, data and bytes')
  return { ...(text !== undefined && { text }), ...(data !== undefined && { data }), ...(bytes !== undefined && { base64: encodeBase64(bytes) }), ...(event !== undefined && { event }) }
}
