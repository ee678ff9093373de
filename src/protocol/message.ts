import type { Event } from './frames.ts'
import type { Static } from 'typebox'

/** What somebody publishes: a text, any JSON, or bytes. */
export type Content =
  | { kind: 'text', text: string, event?: Static<typeof Event> }
  | { kind: 'data', data: unknown, event?: Static<typeof Event> }
  | { kind: 'binary', bytes: Buffer, event?: Static<typeof Event> }

/**
 * A message's content in the form in which it travels and is kept: encoded once, when it is published.
 * `fields` are the members of the JSON object that the publisher decided (`"from":"ada","text":"hi"`, no braces);
 * `bytes` is the payload of a binary message.
 */
export interface EncodedContent {
  fields: Buffer
  bytes?: Buffer | undefined
}

/** What the broker adds when it puts a message into a room. */
export interface Placed {
  /** Absent in rooms without history. */
  offset?: number | undefined
  /** The broker's clock, ms since 1970. */
  time: number
}

/** Encodes what `from` publishes. */
export function encodeContent (from: string, content: Content): EncodedContent {
  let fields = `"from":${JSON.stringify(from)}`
  if (content.event !== undefined) fields += `,"event":${JSON.stringify(content.event)}`
  if (content.kind === 'text') fields += `,"text":${JSON.stringify(content.text)}`
  else if (content.kind === 'data') fields += `,"data":${JSON.stringify(content.data) ?? 'null'}` // As undefined is in an array.
  return { fields: keep(fields), bytes: content.kind === 'binary' ? keep(content.bytes) : undefined }
}

/** Up to this size, bytes, a copy comes out of Node's pool. */
const POOLED_BYTES = 128

/**
 * A copy that keeps little else alive for as long as history keeps it. What came in may be a slice of a large read
 * buffer, and Node's pool gives 8 KB to many: all of it stays while one slice does.
 */
function keep (content: string | Buffer): Buffer {
  const size = Buffer.byteLength(content)
  const copy = size <= POOLED_BYTES ? Buffer.allocUnsafe(size) : Buffer.allocUnsafeSlow(size)
  if (typeof content === 'string') copy.write(content)
  else content.copy(copy)
  return copy
}

/**
 * What stands before `fields` in the JSON of a message. Room names are ASCII, except that a user's own room
 * is written by its alias; so the prefix is ASCII and its length is its size in bytes.
 */
export function messagePrefix (label: string, { offset, time }: Placed): string {
  return offset === undefined
    ? `{"type":"message","room":"${label}","time":${time},`
    : `{"type":"message","room":"${label}","offset":${offset},"time":${time},`
}

/** The JSON of a message as it stands in a history page: binary payloads as base64. */
export function encodeHistoryMessage (label: string, message: EncodedContent & Placed): string {
  const json = messagePrefix(label, message) + message.fields.toString()
  return message.bytes === undefined ? `${json}}` : `${json},"base64":"${message.bytes.toString('base64')}"}`
}
