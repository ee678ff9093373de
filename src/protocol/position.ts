/**
 * A place in a room's order. Offsets count from 1 without gaps within an epoch; another epoch is another order,
 * and positions of different epochs cannot be compared. An epoch is an opaque string.
 */
export interface Position {
  epoch: string
  offset: number
}

/** Stands for an unknown position: no room has this epoch. */
export const NO_POSITION: Position = { epoch: '0', offset: 0 }

/** Writes `<epoch>:<offset>`, the form of a position in URLs and in the ids of event streams. */
export function formatPosition ({ epoch, offset }: Position): string {
  return `${epoch}:${offset}`
}

/** Reads `<epoch>:<offset>`; undefined for other texts. */
export function parsePosition (text: string): Position | undefined {
  const [, epoch, offset] = /^(.{1,32}):(\d{1,16})$/.exec(text) ?? []
  if (epoch === undefined || !Number.isSafeInteger(Number(offset))) return undefined
  return { epoch, offset: Number(offset) }
}
