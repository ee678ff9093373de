import type { ServerFrames } from '../src/protocol/frames.ts'
import { decodeBase64 } from './base64.ts'
import type { Position } from './position.ts'

/** A message of a room. It has exactly one of `data`, `text` and `bytes`, as its publisher chose. */
export interface Message<Data = unknown> extends Partial<Position> {
  readonly room: string
  /** The publisher: the `sub` of its token. */
  readonly from: string
  /** ms since 1970, by the service's clock. */
  readonly time: number
  readonly event?: string
  readonly data: Data
  readonly text?: string
  readonly bytes?: Uint8Array
}

/** A range of messages; offsets are exclusive. Without an offset, the latest messages. */
export interface HistoryOptions {
  after?: number
  before?: number
  /** The epoch of the offsets. */
  epoch?: string
  limit?: number
}

/** A part of a room's history, ascending. */
export interface HistoryPage<Data = unknown> extends Partial<Position> {
  readonly room: string
  /** Whether no message of the range is missing. */
  readonly recovered: boolean
  readonly messages: Message<Data>[]
  /** `after` of the next page; `before` of the next older page. */
  readonly next?: number
}

/** A message as it stands in a frame: alone, or in a page of history. */
type MessageFrame = ServerFrames['message'] | ServerFrames['history']['messages'][number]

/** Decodes the message of a frame. `bytes` are the payload of a binary frame that followed it. */
export function toMessage<Data> (frame: MessageFrame, epoch: string | undefined, bytes?: Uint8Array): Message<Data> {
  const { type, binary, base64, ...message }: Partial<ServerFrames['message']> & { base64?: string } = frame
  const payload = bytes ?? (base64 === undefined ? undefined : decodeBase64(base64))
  // The application declares the type of its payloads.
  return { ...message, ...(epoch !== undefined && { epoch }), ...(payload !== undefined && { bytes: payload }) } as Message<Data>
}
