/** A place in a room's order (docs/protocol.md). */
export interface Position {
  readonly epoch: string
  readonly offset: number
}

/** The position of a frame; undefined in rooms without history. */
export function toPosition ({ epoch, offset }: Partial<Position>): Position | undefined {
  return epoch === undefined || offset === undefined ? undefined : { epoch, offset }
}
