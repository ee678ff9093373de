import type { EncodedContent } from './message.ts'
import type { Position } from './position.ts'

/** A published message, for the members of its room. */
export interface MessageEnvelope extends EncodedContent {
  kind: 'message'
  room: string
  /** Absent in rooms without history. */
  position?: Position | undefined
  /** The broker's clock, ms since 1970; never decreasing within a room. */
  time: number
  /** The origin whose connections do not receive it. */
  exclude?: string | undefined
}

/** A notice: a member joined or left. It has no position, is not kept, and arrives at most once. */
export interface NoticeEnvelope {
  kind: 'notice'
  room: string
  /** The whole frame, as JSON. */
  frame: string
  /** The user that does not receive it: the one that joined or left. */
  exceptUser?: string | undefined
}

/** The position of a room. The broker sends it when messages for this instance may have been lost. */
export interface PositionEnvelope {
  kind: 'position'
  room: string
  position: Position
}

/** The unit that the broker delivers. */
export type Envelope = MessageEnvelope | NoticeEnvelope | PositionEnvelope
