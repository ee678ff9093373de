import type { EventMessage, EventTypes, Message } from './message.ts'
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

/** The names of the room's own events. Any other name is that of an event of the messages. */
const OWN_EVENTS: { readonly [E in keyof RoomEvents<unknown>]: true } = {
  message: true, joined: true, reset: true, left: true, system: true, state: true
}

/** Whether a name is that of one of the room's own events. */
export function isOwnEvent (name: string): name is keyof RoomEvents<unknown> {
  return Object.hasOwn(OWN_EVENTS, name)
}

/** The messages of a room by their events, for listeners. */
export type MessagesByEvent<Data> = { [Name in keyof EventTypes<Data> & string]: EventMessage<EventTypes<Data>, Name> }

/** The messages that come after a position. */
export interface JoinOptions {
  /** The position to resume from, such as the one that a page was rendered with. */
  since?: Position | undefined
  /** Loads the state that the room's messages change, see `Load`. */
  load?: Load | undefined
}

/**
 * Loads the state that a room's messages change: at first, and again whenever messages may be missing. The client takes the
 * position before it calls the function, and delivers the messages after that position when the function has returned. If the
 * state is newer, the function returns its position, and the messages up to there are left out.
 *
 * The client calls a function that fails again after a while, and emits `load_failed` as an `error` of the client.
 *
 * @param position the position that the state must have at least; undefined in rooms without history
 * @param options.signal aborts when the state is no longer needed
 */
export type Load = (
  position: Position | undefined,
  options: { readonly signal: AbortSignal }
) => Promise<Position | undefined | void> | Position | undefined | void
