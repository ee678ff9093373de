import { RoomcastError } from '../errors.ts'

/** What is published: exactly one of a text, any JSON and bytes, and if wanted a name for what happened. */
export type Content<Data = unknown> = { event?: string } & (
  | { text: string, data?: never, bytes?: never }
  | { data: Data, text?: never, bytes?: never }
  | { bytes: Uint8Array, text?: never, data?: never }
)

/** A content in the form in which it is sent: a copy, so that every attempt sends the same. */
export interface EncodedContent {
  /** The members of a JSON object, without braces. */
  fields: string
  /** The payload of a binary message; it is not in `fields`. */
  bytes: Uint8Array<ArrayBuffer> | undefined
  event: string | undefined
}

/** Encodes a content; throws `invalid_request` for what is none. */
export function encodeContent (content: Content): EncodedContent {
  if (typeof content !== 'object' || content === null) throw invalid('A message is an object with exactly one of "text", "data" and "bytes"')
  const { text, data, bytes, event } = content as { text?: unknown, data?: unknown, bytes?: unknown, event?: unknown }
  if ([text, data, bytes].filter((value) => value !== undefined).length !== 1) throw invalid('A message has exactly one of "text", "data" and "bytes"')
  if (text !== undefined && typeof text !== 'string') throw invalid('"text" is a string')
  if (bytes !== undefined && !(bytes instanceof Uint8Array)) throw invalid('"bytes" is a Uint8Array')
  if (event !== undefined && typeof event !== 'string') throw invalid('"event" is a string')
  const named = event === undefined ? '' : `"event":${JSON.stringify(event)}`
  if (bytes !== undefined) return { fields: named, bytes: new Uint8Array(bytes), event }
  const value = text === undefined ? `"data":${encodeData(data)}` : `"text":${JSON.stringify(text)}`
  return { fields: named === '' ? value : `${value},${named}`, bytes: undefined, event }
}

/** The refusal of what the caller gave, before anything is sent. */
export function invalid (message: string, cause?: unknown): RoomcastError {
  return new RoomcastError('invalid_request', message, { cause })
}

function encodeData (data: unknown): string {
  let json: string | undefined
  try {
    json = JSON.stringify(data)
  } catch (error) {
    throw invalid(`"data" cannot be JSON: ${error instanceof Error ? error.message : String(error)}`, error)
  }
  if (json === undefined) throw invalid('"data" cannot be JSON')
  return json
}
