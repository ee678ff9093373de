import type { Message } from './message.ts'
import type { Position } from './position.ts'

/** The state of a room. `refused`: the service rejected the join, or ended the membership. */
export type RoomState = 'idle' | 'joining' | 'joined' | 'refused'

/** The client joined the room, for the first time or again. */
export interface Joined extends Partial<Position> {
  readonly room: string
  /** The number of connections in the room. */
  readonly audience: number
  /** After a resume: whether the room goes on without a gap. If not, `reset` follows. */
  readonly recovered?: boolean
  /** The number of missed messages that follow. */
  readonly missed?: number
}

/** Messages may be missing: load your state again. Later messages are newer than `offset`. */
export interface Reset extends Partial<Position> {
  readonly room: string
  /** `epoch`: the room began again. `history`: the service no longer has all missed messages. */
  readonly reason: 'epoch' | 'history'
}

/** Another member joined or left; in rooms of more than 100 members, their number. */
export interface Presence {
  readonly room: string
  readonly event: 'joined' | 'left' | 'members'
  readonly user?: string
  readonly count?: number
  readonly text: string
}

/** The events of a room, by name. */
export interface RoomEvents<Data> {
  message: Message<Data>
  joined: Joined
  reset: Reset
  /** The service ended the membership. */
  left: { readonly room: string, readonly reason?: 'removed' | 'forbidden' }
  system: Presence
  state: RoomState
}
