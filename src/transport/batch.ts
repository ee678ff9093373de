import { encodeFrame } from '../protocol/codec.ts'
import type { Position } from '../protocol/position.ts'
import type { ServerFrames } from '../protocol/frames.ts'
import { type EncodedContent, encodeHistoryMessage, type Placed } from '../protocol/message.ts'
import { messageFrame, textFrame } from './websocket-frame.ts'

/**
 * A frame for all members of a room. It is built once for each encoding: for WebSockets at once, as JSON when the first
 * event stream asks for it.
 */
export class RoomFrame {
  readonly type: 'message' | 'system' | 'reset'
  /** The name of the room in frames. */
  readonly room: string
  /** The position of the room after the frame; undefined for notices and in rooms without history. */
  readonly position: Position | undefined
  /** The WebSocket frame, with its header. */
  readonly websocket: Buffer
  /** The JSON, or the message from which it is made. */
  #json: string | (EncodedContent & Placed)

  private constructor (
    type: RoomFrame['type'], room: string, position: Position | undefined, websocket: Buffer, json: string | (EncodedContent & Placed)
  ) {
    this.type = type
    this.room = room
    this.position = position
    this.websocket = websocket
    this.#json = json
  }

  static ofMessage (room: string, message: EncodedContent & Placed, epoch: string | undefined): RoomFrame {
    const position = epoch === undefined || message.offset === undefined ? undefined : { epoch, offset: message.offset }
    return new RoomFrame('message', room, position, messageFrame(room, message), message)
  }

  static ofNotice (room: string, json: string): RoomFrame {
    return new RoomFrame('system', room, undefined, textFrame(json), json)
  }

  static ofReset (frame: ServerFrames['reset'], position: Position): RoomFrame {
    const json = encodeFrame(frame)
    return new RoomFrame('reset', frame.room, position, textFrame(json), json)
  }

  /** Bytes on a WebSocket; about as many on an event stream. */
  get bytes (): number {
    return this.websocket.length
  }

  /** The frame as JSON, with bytes as `base64`: event streams have no binary frames. */
  get json (): string {
    if (typeof this.#json !== 'string') this.#json = encodeHistoryMessage(this.room, this.#json)
    return this.#json
  }
}

/** Frames about one room that leave together. */
export class Batch {
  readonly frames: readonly RoomFrame[]
  readonly bytes: number
  #websocket: Buffer | undefined
  #events: Buffer | undefined

  constructor (frames: readonly RoomFrame[]) {
    this.frames = frames
    this.bytes = frames.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** The frames for a WebSocket, as one chunk. */
  get websocket (): Buffer {
    if (this.#websocket === undefined) {
      const [first, second] = this.frames
      this.#websocket = first !== undefined && second === undefined
        ? first.websocket
        : Buffer.concat(this.frames.map(({ websocket }) => websocket), this.bytes)
    }
    return this.#websocket
  }

  /** The events for streams of this room alone; `encode` makes them the first time. */
  events (encode: (batch: Batch) => Buffer): Buffer {
    this.#events ??= encode(this)
    return this.#events
  }
}
