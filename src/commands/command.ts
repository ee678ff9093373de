import { RoomcastError } from '../errors.ts'
import type { Connection } from '../hub/connection.ts'
import type { Membership } from '../hub/room.ts'
import { isAutomatic, USER_ALIAS, userRoom } from '../protocol/names.ts'
import type { Identity } from '../rooms/identity.ts'
import type { Rooms } from '../rooms/rooms.ts'

/** What a command works with. */
export interface CommandContext {
  readonly connection: Connection
  readonly identity: Identity
  readonly rooms: Rooms
}

/** Handles one type of client frame: sends its answers itself, and throws `RoomcastError` for a refusal. */
export type Handle<Frame> = (context: CommandContext, frame: Frame, bytes?: Buffer) => Promise<void>

/** A type of client frame. */
export interface Command<Frame> {
  handle: Handle<Frame>
  /** Which allowance it draws on. */
  allowance: 'messages' | 'control'
  /** Whether the frames behind it wait until it is done. */
  holds: boolean
}

/** The room that frames without one are for: the latest joined of the rooms still joined. */
export function latestRoom (connection: Connection): string {
  let latest: string | undefined
  for (const name of connection.memberships.keys()) if (!isAutomatic(name)) latest = name
  if (latest === undefined) throw new RoomcastError('not_joined', 'Join a room first, or name one')
  return latest
}

/** What a connection's frames call a room, looked up among its memberships. */
export function membershipIn (connection: Connection, name: string): Membership | undefined {
  return connection.memberships.get(name === USER_ALIAS ? userRoom(connection.user) : name)
}
