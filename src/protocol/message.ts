import type { Static } from 'typebox'
import type { Event } from './frames.ts'

/** A message to publish: exactly one of a text, any JSON and bytes; and, if wanted, a name for the event that it reports. */
export type Content = { event?: Static<typeof Event> | undefined } & (
  | { text: string, data?: undefined, bytes?: undefined }
  | { data: unknown, text?: undefined, bytes?: undefined }
  | { bytes: Uint8Array, text?: undefined, data?: undefined }
)

/**
 * A message's content, encoded once, when it is published: the form of envelopes and of history.
 * `fields` are the publisher's members of the JSON object (`"from":"ada","text":"hi"`, no braces);
 * `bytes` is the payload of a binary message.
 */
export interface EncodedContent {
  fields: Buffer
  bytes?: Buffer | undefined
}

/** A message's place in its room, given by the broker. */
export interface Placed {
  /** Absent in rooms without history. */
  offset?: number | undefined
  /** The broker's clock, ms since 1970. */
  time: number
}

/** Encodes the content of a message from `from`. */
export function encodeContent (from: string, content: Content): EncodedContent {
  let fields = `"from":${JSON.stringify(from)}`
  if (content.event !== undefined) fields += `,"event":${JSON.stringify(content.event)}`
  if (content.bytes !== undefined) return { fields: keep(fields), bytes: keep(content.bytes) }
  if (content.text !== undefined) fields += `,"text":${JSON.stringify(content.text)}`
  else fields += `,"data":${JSON.stringify(content.data) ?? 'null'}` // As in an array: a `toJSON` may return undefined.
  return { fields: keep(fields), bytes: undefined }
}

/** Largest copy that comes from Node's pool, bytes. */
const POOLED_BYTES = 128

/**
 * Makes a copy that keeps little other memory alive while history keeps it. The original may be a slice of a large read
 * buffer, and Node's pool shares 8 KB among many buffers: one slice keeps the whole buffer alive.
 */
function keep (content: string | Uint8Array): Buffer {
  const size = typeof content === 'string' ? Buffer.byteLength(content) : content.length
  const copy = size <= POOLED_BYTES ? Buffer.allocUnsafe(size) : Buffer.allocUnsafeSlow(size)
  if (typeof content === 'string') copy.write(content)
  else copy.set(content)
  return copy
}

/** The size of a content that `MAX_MESSAGE_BYTES` limits, bytes: its text, its data as JSON, or its bytes. */
export function sizeOf ({ text, data, bytes }: Content): number {
  if (bytes !== undefined) return bytes.length
  return Buffer.byteLength(text ?? JSON.stringify(data))
}

/**
 * The part of a message's JSON before `fields`. Room names are ASCII, except that a user's own room
 * is written by its alias; so the prefix is ASCII and its length is its size in bytes.
 */
export function messagePrefix (label: string, { offset, time }: Placed): string {
  return offset === undefined
    ? `{"type":"message","room":"${label}","time":${time},`
    : `{"type":"message","room":"${label}","offset":${offset},"time":${time},`
}

/** The JSON of a message on a history page: binary payloads as base64. */
export function encodeHistoryMessage (label: string, message: EncodedContent & Placed): string {
  const json = messagePrefix(label, message) + message.fields.toString()
  return message.bytes === undefined ? `${json}}` : `${json},"base64":"${message.bytes.toString('base64')}"}`
}
