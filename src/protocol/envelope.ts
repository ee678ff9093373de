import type { EncodedContent } from './message.ts'
import type { Position } from './position.ts'

/** A published message on its way to the members of its room. */
export interface MessageEnvelope extends EncodedContent {
  kind: 'message'
  room: string
  /** Absent in rooms without history. */
  position?: Position | undefined
  /** The broker's clock, ms since 1970; never decreasing within a room. */
  time: number
  /** The origin whose connections do not get it. */
  exclude?: string | undefined
}

/** Somebody came or went. It has no position, is not kept, and arrives at most once. */
export interface NoticeEnvelope {
  kind: 'notice'
  room: string
  /** The whole frame, JSON. */
  frame: string
  /** The user who does not get it: the one it is about. */
  exceptUser?: string | undefined
}

/** Where a room stands: sent when messages may have been lost on their way to this node. */
export interface PositionEnvelope {
  kind: 'position'
  room: string
  position: Position
}

/** What the broker delivers. */
export type Envelope = MessageEnvelope | NoticeEnvelope | PositionEnvelope
