import type { FrameId, ServerFrames } from '../protocol/frames.ts'
import type { Position } from '../protocol/position.ts'

/** A room as its new member finds it. */
export interface Joined {
  room: string
  /** The position after which messages follow; absent in rooms without history. */
  position: Position | undefined
  /** Connections in the room over all instances, this one too. */
  audience: number
  /** With `since`: whether the missed messages follow, and how many. */
  recovered?: boolean
  missed?: number
}

/** Receives the answer to a join, in the room's order: before every message for the new member, and after all others. */
export type OnJoined = (joined: Joined) => void

/** The frame that tells a client about its join. */
export function joinedFrame ({ room, position, ...joined }: Joined, id?: FrameId): ServerFrames['joined'] {
  return { type: 'joined', room, ...position, ...joined, ...(id !== undefined && { id }) }
}
