import type { Identity } from '../auth/identity.ts'
import { RoomcastError } from '../errors.ts'
import type { Connection } from '../hub/connection.ts'
import type { Membership } from '../hub/members.ts'
import type { Position } from '../protocol/position.ts'
import { isAutomatic, USER_ALIAS, userRoom } from '../protocol/names.ts'
import type { Memberships } from '../rooms/membership.ts'
import type { Rooms } from '../rooms/rooms.ts'

/** The parts that a command works with. */
export interface CommandContext {
  readonly connection: Connection
  readonly identity: Identity
  /** The rooms as the connection's user may use them. */
  readonly rooms: Rooms
  readonly memberships: Memberships
}

/** Handles one type of client frame: sends the answers, and throws `RoomcastError` for a refusal. */
export type Handle<Frame> = (context: CommandContext, frame: Frame, bytes?: Buffer) => Promise<void>

/** A type of client frame. */
export interface Command<Frame> {
  handle: Handle<Frame>
  /** The allowance that the frame is charged to. */
  allowance: 'messages' | 'control'
  /** Whether the frames behind it wait until it is done. */
  holds: boolean
}

/** The room of a frame without a room: the most recently joined room that the connection is still in. */
export function latestRoom (connection: Connection): string {
  let latest: string | undefined
  for (const name of connection.memberships.keys()) if (!isAutomatic(name)) latest = name
  if (latest === undefined) throw new RoomcastError('not_joined', 'Join a room first, or name one')
  return latest
}

/** Finds the membership in a room, by the name that the client's frames use. */
export function membershipIn (connection: Connection, name: string): Membership | undefined {
  return connection.memberships.get(name === USER_ALIAS ? userRoom(connection.user) : name)
}

/**
 * Sends an answer about a room. A member gets it behind every message up to a position. The broker may deliver these messages
 * later than its answer: then the answer waits, at most `ARRIVAL_MS`. The command is in progress meanwhile, so few answers wait.
 *
 * @param position undefined if the answer is about no message with a position
 */
export async function answerInOrder (
  { connection }: CommandContext, name: string, position: Position | undefined, answer: () => void
): Promise<void> {
  const membership = membershipIn(connection, name)
  if (membership === undefined) answer()
  else if (position === undefined) membership.room.after(answer)
  else await membership.room.afterArrival(position, answer)
}
