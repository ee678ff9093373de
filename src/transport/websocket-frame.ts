import { type EncodedContent, messagePrefix, type Placed } from '../protocol/message.ts'

/** First byte of an unfragmented frame: FIN and the opcode (RFC 6455, section 5.2). */
const FIN_TEXT = 0x81
const FIN_BINARY = 0x82

/** A ping without payload (RFC 6455, section 5.5.2), made once for all connections. */
export const PING = Buffer.from([0x89, 0x00])

/** The WebSocket frame of a text. */
export function textFrame (text: string): Buffer {
  const length = Buffer.byteLength(text)
  const frame = Buffer.allocUnsafe(headerLength(length) + length)
  frame.write(text, writeHeader(frame, 0, FIN_TEXT, length))
  return frame
}

/** The WebSocket frames of a message in one chunk: its JSON, and the payload of a binary message. */
export function messageFrame (label: string, message: EncodedContent & Placed): Buffer {
  const { fields, bytes } = message
  const prefix = messagePrefix(label, message)
  const suffix = bytes === undefined ? '}' : `,"binary":${bytes.length}}`
  const length = prefix.length + fields.length + suffix.length
  const total = headerLength(length) + length + (bytes === undefined ? 0 : headerLength(bytes.length) + bytes.length)

  const frame = Buffer.allocUnsafe(total)
  let at = writeHeader(frame, 0, FIN_TEXT, length)
  at += frame.write(prefix, at, 'latin1')
  at += fields.copy(frame, at)
  at += frame.write(suffix, at, 'latin1')
  if (bytes !== undefined) bytes.copy(frame, writeHeader(frame, at, FIN_BINARY, bytes.length))
  return frame
}

/** Frames from a server are not masked (RFC 6455, section 5.1), so the header has 2, 4 or 10 bytes. */
function headerLength (length: number): number {
  return length < 126 ? 2 : length < 65536 ? 4 : 10
}

/** Writes a frame header at `at`; returns where the payload begins. */
function writeHeader (frame: Buffer, at: number, first: number, length: number): number {
  frame[at] = first
  if (length < 126) {
    frame[at + 1] = length
    return at + 2
  }
  if (length < 65536) {
    frame[at + 1] = 126
    frame.writeUInt16BE(length, at + 2)
    return at + 4
  }
  frame[at + 1] = 127
  frame.writeUInt32BE(Math.floor(length / 2 ** 32), at + 2)
  frame.writeUInt32BE(length % 2 ** 32, at + 6)
  return at + 10
}
