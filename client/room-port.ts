import type { ServerFrames } from '../src/protocol/frames.ts'
import type { Clock } from './clock.ts'
import type { RoomcastError } from './errors.ts'
import type { HistoryOptions } from './message.ts'
import type { Published, PublishOptions } from './published.ts'
import type { Requests } from './requests.ts'
import type { Room } from './room.ts'

/** The parts of a client that its rooms use. */
export interface RoomPort {
  readonly clock: Clock
  readonly requests: Requests
  isClosed (): boolean
  publish (room: string, value: unknown, options: PublishOptions): Promise<Published>
  history (room: string, options: HistoryOptions, isBounded?: boolean): Promise<ServerFrames['history']>
  /** The room is in use, or no longer: the client forgets a room that is not. */
  onUse (room: Room, isUsed: boolean): void
  /** The room is no longer joined: its publishes are rejected. */
  onLeft (room: string, error: RoomcastError): void
  /** Emits an error of the client. */
  report (error: RoomcastError): void
}

/** A frame of a room that answers no request. */
export type RoomFrame = ServerFrames['message' | 'reset' | 'system' | 'left' | 'joined']
