import type { MessageEnvelope, NoticeEnvelope } from '../protocol/envelope.ts'
import type { EncodedContent } from '../protocol/message.ts'

/*
 * Formats in Redis:
 *
 *   message   0x01 'm' <epoch>-<offset> ' ' <time> '\n' body      (an envelope on a channel; '-' without history)
 *   kept                                    <time> '\n' body      (a message in a stream, under its id)
 *   notice    0x01 'n' <length of the user, bytes> '\n' <excluded user> <frame>
 *   body      length of the excluded origin (1 byte), 1 if there is a payload (1 byte), length of the fields
 *             (4 bytes, big endian), origin, fields, payload
 */
const VERSION = 1
const MESSAGE = 0x6d // m
const NOTICE = 0x6e // n
const NEWLINE = 0x0a
const BODY_HEADER = 6

/** The part of a message that the publisher determines. */
export interface Body extends EncodedContent {
  exclude?: string | undefined
}

/** Bytes in an unknown format. */
export class InvalidEnvelope extends Error {
  override readonly name = 'InvalidEnvelope'
}

export function encodeBody ({ fields, bytes, exclude = '' }: Body): Buffer {
  const body = Buffer.allocUnsafe(BODY_HEADER + exclude.length + fields.length + (bytes?.length ?? 0))
  body[0] = exclude.length
  body[1] = bytes === undefined ? 0 : 1
  body.writeUInt32BE(fields.length, 2)
  body.write(exclude, BODY_HEADER, 'latin1') // An origin is ASCII.
  fields.copy(body, BODY_HEADER + exclude.length)
  bytes?.copy(body, BODY_HEADER + exclude.length + fields.length)
  return body
}

export function encodeNotice ({ frame, exceptUser = '' }: NoticeEnvelope): Buffer {
  return Buffer.from(`\u0001n${Buffer.byteLength(exceptUser)}\n${exceptUser}${frame}`)
}

/** Decodes an envelope from a room's channel; throws `InvalidEnvelope`. */
export function decodeEnvelope (room: string, data: Buffer): MessageEnvelope | NoticeEnvelope {
  if (data[0] !== VERSION) throw new InvalidEnvelope('unknown version')
  const end = data.indexOf(NEWLINE, 2)
  if (end === -1) throw new InvalidEnvelope('no header')
  const header = data.toString('latin1', 2, end)
  if (data[1] === NOTICE) {
    const start = end + 1 + toCount(header)
    if (start > data.length) throw new InvalidEnvelope('too short')
    const exceptUser = start === end + 1 ? undefined : data.toString('utf8', end + 1, start)
    return { kind: 'notice', room, frame: data.toString('utf8', start), exceptUser }
  }
  if (data[1] !== MESSAGE) throw new InvalidEnvelope('unknown kind')
  const space = header.indexOf(' ')
  const dash = header.indexOf('-')
  const { fields, bytes, exclude } = decodeBody(data, end + 1)
  return {
    kind: 'message',
    room,
    position: dash === 0 ? undefined : { epoch: header.slice(0, dash), offset: toCount(header.slice(dash + 1, space)) },
    time: toCount(header.slice(space + 1)),
    fields,
    bytes,
    exclude
  }
}

/** Decodes a message from a stream; throws `InvalidEnvelope`. */
export function decodeKept (data: Buffer): Body & { time: number } {
  const end = data.indexOf(NEWLINE)
  const { fields, bytes, exclude } = decodeBody(data, end + 1)
  return { time: toCount(data.toString('latin1', 0, end)), fields, bytes, exclude }
}

function decodeBody (data: Buffer, at: number): Body {
  if (at + BODY_HEADER > data.length) throw new InvalidEnvelope('too short')
  const excludeEnd = at + BODY_HEADER + data.readUInt8(at)
  const fieldsEnd = excludeEnd + data.readUInt32BE(at + 2)
  if (fieldsEnd > data.length) throw new InvalidEnvelope('too short')
  return {
    fields: data.subarray(excludeEnd, fieldsEnd),
    bytes: data[at + 1] === 1 ? data.subarray(fieldsEnd) : undefined,
    exclude: data[at] === 0 ? undefined : data.toString('latin1', at + BODY_HEADER, excludeEnd)
  }
}

function toCount (text: string): number {
  const count = Number(text)
  if (text === '' || !Number.isSafeInteger(count) || count < 0) throw new InvalidEnvelope('a number is expected')
  return count
}
