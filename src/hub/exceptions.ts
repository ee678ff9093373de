import { Batch } from '../transport/batch.ts'
import type { Connection } from './connection.ts'

/** The connections that do not receive a frame: those of an origin, or those of a user. */
export type Exception = `origin:${string}` | `user:${string}`

/** The exception of an origin. */
export function ofOrigin (origin: string): Exception {
  return `origin:${origin}`
}

/** The exception of a user. */
export function ofUser (user: string): Exception {
  return `user:${user}`
}

/** The frames of a batch that some connections do not receive. */
export class Exceptions {
  readonly #frames = new Map<Exception, Set<number>>()

  /** @param index of the frame in its batch */
  add (exception: Exception, index: number): void {
    const indexes = this.#frames.get(exception)
    if (indexes === undefined) this.#frames.set(exception, new Set([index]))
    else indexes.add(index)
  }

  /** Writes a batch to a connection without the frames that exclude it. */
  write (batch: Batch, connection: Connection): void {
    const byOrigin = this.#frames.get(ofOrigin(connection.origin))
    const byUser = this.#frames.get(ofUser(connection.user))
    if (byOrigin === undefined && byUser === undefined) {
      connection.write(batch)
      return
    }
    const rest = batch.frames.filter((_, index) => !byOrigin?.has(index) && !byUser?.has(index))
    if (rest.length > 0) connection.write(new Batch(rest))
    const last = batch.frames.findLast(({ position }) => position !== undefined)
    if (last?.position !== undefined && !rest.includes(last)) connection.skipTo(last.room, last.position)
  }
}
