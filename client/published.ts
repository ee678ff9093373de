import type { Position } from './position.ts'

/** The place of a publish in its room. The position is absent in rooms without history. */
export interface Published extends Partial<Position> {
  readonly room: string
}

/** The options of a publish over a connection. */
export interface PublishOptions<Event extends string = string> {
  /** The message's name for an event, chosen by its publisher. */
  event?: Event
  /** `false` leaves out this client. */
  echo?: boolean
  /** Publishes with the same key are one message; the client generates a key if none is given. */
  key?: string
}
