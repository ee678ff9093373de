import type { Identity } from '../auth/identity.ts'
import { RoomcastError } from '../errors.ts'
import { ALL_ROOM, isRoomName, isUser, ROOM_RULE, USER_ALIAS, userRoom } from '../protocol/names.ts'

/** The real name of a room that a caller names: `@user` is the caller's own. Throws `invalid_room`. */
export function resolveName ({ user }: Identity, name: string): string {
  if (typeof name !== 'string') throw new RoomcastError('invalid_room', ROOM_RULE) // The application may pass anything.
  if (isRoomName(name) || name === ALL_ROOM) return name
  if (name === USER_ALIAS) return userRoom(user)
  if (name.startsWith(`${USER_ALIAS}:`) && isUser(name.slice(USER_ALIAS.length + 1))) return name
  throw new RoomcastError('invalid_room', ROOM_RULE)
}

/** Whether a room is one of the caller's automatic rooms. */
export function isOwnRoom ({ user }: Identity, room: string): boolean {
  return room === ALL_ROOM || room === userRoom(user)
}
