import type { ServerFrames } from '../src/protocol/frames.ts'
import { decodeBase64 } from './base64.ts'
import type { Position } from './position.ts'

/** The content of a message, as its publisher chose. */
type Content<Data> =
  | { readonly data: Data, readonly text?: undefined, readonly bytes?: undefined }
  | { readonly text: string, readonly data?: undefined, readonly bytes?: undefined }
  | { readonly bytes: Uint8Array, readonly data?: undefined, readonly text?: undefined }

/** The members that every message has. */
interface Envelope extends Partial<Position> {
  /** A key for lists: the position, as `epoch:offset`; in rooms without history a name that is unique in this process. */
  readonly id: string
  readonly room: string
  /** The publisher: the `sub` of its token. */
  readonly from: string
  /** ms since 1970, by the service's clock. */
  readonly time: number
}

/** A message of a room. It has exactly one of `data`, `text` and `bytes`. With `Events` as its type, `event` tells the type of `data`. */
export type Message<Data = unknown> = Data extends Events<infer Types>
  ? { [Name in keyof Types]: EventMessage<Types, Name> }[keyof Types]
  : Envelope & { readonly event?: string } & Content<Data>

/** A message with an event. */
export type EventMessage<Types, Name extends keyof Types> = Envelope & { readonly event: Name } & Content<Types[Name]>

declare const TYPES: unique symbol

/**
 * The type of a room whose messages have events: `Events<{ 'order.paid': Paid, 'order.shipped': Shipped }>`.
 * It exists only for the compiler.
 */
export interface Events<Types extends object> {
  readonly [TYPES]: Types
}

/** The types of events, by their names. */
export type EventTypes<Data> = Data extends Events<infer Types> ? Types : Record<string, Data>

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
export type MessageFrame = ServerFrames['message'] | ServerFrames['history']['messages'][number]

/** The members of a frame that a message may have, and those that it must not take over. */
type Given = Partial<ServerFrames['message']> & { base64?: string, bytes?: unknown }

/** The number of messages without a position so far. */
let unnumbered = 0

/** Decodes the message of a frame. `bytes` are the payload of a binary frame that followed it. */
export function toMessage<Data> (frame: MessageFrame, epoch: string | undefined, bytes?: Uint8Array): Message<Data> {
  const { type, binary, base64, bytes: unknown, ...message }: Given = frame
  const payload = bytes ?? (base64 === undefined ? undefined : decodeBase64(base64))
  return {
    ...message,
    id: epoch === undefined || message.offset === undefined ? `#${++unnumbered}` : `${epoch}:${message.offset}`,
    ...(epoch !== undefined && { epoch }),
    ...(payload !== undefined && { bytes: payload })
  } as unknown as Message<Data> // The application declares the type of its payloads.
}
