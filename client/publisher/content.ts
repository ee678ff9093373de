import { isObject } from '../json.ts'
import { copyBytes, invalid, isBytes, toJson } from '../payload.ts'

/** The content of a message: exactly one of a text, any JSON and bytes, and optionally the name of an event. */
export type Content<Data = unknown> = { event?: string } & (
  | { text: string, data?: never, bytes?: never }
  | { data: Data, text?: never, bytes?: never }
  | { bytes: ArrayBufferLike | ArrayBufferView, text?: never, data?: never }
)

/** An encoded content: a copy, so that all attempts send the same. */
export interface EncodedContent {
  /** The members of a JSON object, without braces. */
  fields: string
  /** The payload of a binary message, which is not in `fields`. */
  bytes: Uint8Array<ArrayBuffer> | undefined
  event: string | undefined
}

/** Encodes a content. Throws `invalid_request` for an invalid one. */
export function encodeContent (content: unknown): EncodedContent {
  if (!isObject(content)) throw invalid('A message is an object with exactly one of "text", "data" and "bytes"')
  const { text, data, bytes, event } = content
  const given = [text, data, bytes].filter((value) => value !== undefined)
  if (given.length !== 1) throw invalid('A message has exactly one of "text", "data" and "bytes"')
  if (text !== undefined && typeof text !== 'string') throw invalid('"text" is a string')
  if (bytes !== undefined && !isBytes(bytes)) throw invalid('"bytes" is an ArrayBuffer, or a view of one such as a Uint8Array')
  if (event !== undefined && typeof event !== 'string') throw invalid('"event" is a string')
  const named = event === undefined ? '' : `"event":${JSON.stringify(event)}`
  if (bytes !== undefined) return { fields: named, bytes: copyBytes(bytes), event }
  const value = text === undefined ? `"data":${toJson(data)}` : `"text":${JSON.stringify(text)}`
  return { fields: named === '' ? value : `${value},${named}`, bytes: undefined, event }
}
