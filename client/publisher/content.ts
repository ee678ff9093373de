import { RoomcastError } from '../errors.ts'
import { isObject } from './json.ts'

/** The content of a message: exactly one of a text, any JSON and bytes, and optionally the name of an event. */
export type Content<Data = unknown> = { event?: string } & (
  | { text: string, data?: never, bytes?: never }
  | { data: Data, text?: never, bytes?: never }
  | { bytes: Uint8Array, text?: never, data?: never }
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
  if (bytes !== undefined && !(bytes instanceof Uint8Array)) throw invalid('"bytes" is a Uint8Array')
  if (event !== undefined && typeof event !== 'string') throw invalid('"event" is a string')
  const named = event === undefined ? '' : `"event":${JSON.stringify(event)}`
  if (bytes !== undefined) return { fields: named, bytes: new Uint8Array(bytes), event }
  const value = text === undefined ? `"data":${encodeData(data)}` : `"text":${JSON.stringify(text)}`
  return { fields: named === '' ? value : `${value},${named}`, bytes: undefined, event }
}

/** The error of an invalid argument. */
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
