import { toObject } from './json.ts'

/** A place in a room's order (docs/protocol.md). */
export interface Position {
  readonly epoch: string
  readonly offset: number
}

/** The position of a frame; undefined in rooms without history. */
export function toPosition ({ epoch, offset }: Partial<Position>): Position | undefined {
  return epoch === undefined || offset === undefined ? undefined : { epoch, offset }
}

/** Whether a value has the form of a position. */
export function isPosition (value: unknown): value is Position {
  const { epoch, offset } = toObject(value)
  return typeof epoch === 'string' && Number.isSafeInteger(offset)
}
