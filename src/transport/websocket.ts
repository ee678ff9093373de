import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { CLOSE_CODES, type CloseReason } from '../protocol/close-codes.ts'
import { type EncodedContent, messagePrefix, type Placed } from '../protocol/message.ts'
import type { Batch } from './batch.ts'
import type { Transport } from './transport.ts'

/** First byte of an unfragmented frame: FIN and the opcode (RFC 6455, section 5.2). */
const FIN_TEXT = 0x81
const FIN_BINARY = 0x82

/** A ping without payload (RFC 6455, section 5.5.2), made once for everybody. */
export const PING = Buffer.from([0x89, 0x00])

/** What ws keeps of a message that is still coming in. Not public: a test fails when it changes. */
interface Receiver {
  _state: number
  _bufferedBytes: number
  _fragmented: number
}

/**
 * The transport over WebSocket. Data frames go straight to the TCP socket, for one frame is built for all members
 * of a room and ws would build a header for each; ws does the rest (reading, control frames, closing).
 * Sound only while permessage-deflate is off.
 */
export class WebSocketTransport implements Transport {
  readonly answers = true
  readonly #ws: WebSocket
  readonly #socket: Duplex

  constructor (ws: WebSocket, socket: Duplex) {
    this.#ws = ws
    this.#socket = socket
  }

  get open (): boolean {
    return this.#ws.readyState === 1 // OPEN: no close frame was sent or received (RFC 6455, section 5.5.1: nothing after it)
  }

  get queued (): number {
    return this.#socket.writableLength
  }

  get unfinished (): boolean {
    const receiver = (this.#ws as unknown as { _receiver: Receiver })._receiver
    return receiver._fragmented !== 0 || receiver._bufferedBytes > 0 || receiver._state !== 0
  }

  write (batch: Batch): void {
    if (this.#ws.readyState === 1) this.#socket.write(batch.websocket)
  }

  send (_type: string, json: string): void {
    if (this.#ws.readyState === 1) this.#socket.write(textFrame(json))
  }

  ping (): void {
    if (this.#ws.readyState === 1) this.#socket.write(PING)
  }

  async drained (): Promise<void> {
    const socket = this.#socket
    if (socket.destroyed || !socket.writableNeedDrain) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        socket.off('drain', done).off('close', done)
        resolve()
      }
      socket.on('drain', done).on('close', done)
    })
  }

  close (reason: CloseReason): void {
    this.#ws.close(CLOSE_CODES[reason].code, CLOSE_CODES[reason].reason)
  }

  terminate (): void {
    this.#ws.terminate()
  }
}

/** The WebSocket frame of a text. */
export function textFrame (text: string): Buffer {
  const length = Buffer.byteLength(text)
  const frame = Buffer.allocUnsafe(headerLength(length) + length)
  frame.write(text, writeHeader(frame, 0, FIN_TEXT, length))
  return frame
}

/** The WebSocket frames of a message: its JSON, and behind it in the same chunk the payload of a binary one. */
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
