import type { Position } from '../protocol/position.ts'
import type { RoomFrame } from '../transport/batch.ts'
import type { Exceptions } from './exceptions.ts'

/** Frames of a room that were delivered in one turn of the event loop and leave together. */
export interface Gathered {
  frames: RoomFrame[]
  bytes: number
  /** How many of the frames are messages. */
  messages: number
  exceptions?: Exceptions
  /** The room's position once the batch is written. */
  position: Position | undefined
  /** Steps to run once the batch is written. */
  after?: (() => void)[]
}

/** An entry of a room's queue. */
export type Step = Gathered | (() => void)
