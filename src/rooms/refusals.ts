import type { Action } from '../auth/grants.ts'
import { RoomcastError } from '../errors.ts'

/** The refusal of an action without a grant. */
export function forbidden (action: Action, room: string): RoomcastError {
  return new RoomcastError('forbidden', `${action} is not granted in ${room}`)
}

/** The refusal of an action that needs a membership. */
export function notJoined (room: string): RoomcastError {
  return new RoomcastError('not_joined', `Not a member of ${room}`)
}
