import type { Broker } from '../broker/broker.ts'
import { RoomcastError } from '../errors.ts'
import { encodeFrame } from '../protocol/codec.ts'

/** In a room of more members, notices tell their number instead of names. */
const NAMED_UP_TO = 100
/** Time between notices of the number of members in one room, ms. */
const COUNT_INTERVAL_MS = 1_000

/** Tells the members of a room about joins and leaves. */
export class Notices {
  readonly #broker: Broker
  readonly #onError: (error: unknown) => void
  /** Rooms that were told their number of members less than an interval ago, and the number to tell next. */
  readonly #counts = new Map<string, number | undefined>()

  constructor (broker: Broker, onError: (error: unknown) => void) {
    this.#broker = broker
    this.#onError = onError
  }

  /** @param members of the room after the event; undefined if the event changed nothing */
  send (room: string, event: 'joined' | 'left', user: string, members: number | undefined): void {
    if (members === undefined) return
    // A number that is still to be told must be true by then, also when the room has become small.
    if (this.#counts.get(room) !== undefined) this.#counts.set(room, members)
    if (members === 0) return
    if (members > NAMED_UP_TO) {
      this.#sendCount(room, members)
      return
    }
    const frame = encodeFrame({ type: 'system', room, event, user, text: `${user} ${event} ${room}` })
    this.#notify(room, frame, user)
  }

  #sendCount (room: string, count: number): void {
    if (this.#counts.has(room)) {
      this.#counts.set(room, count)
      return
    }
    this.#counts.set(room, undefined)
    this.#notify(room, encodeFrame({ type: 'system', room, event: 'members', count, text: `${count} members in ${room}` }))
    setTimeout(() => {
      const next = this.#counts.get(room)
      this.#counts.delete(room)
      if (next !== undefined && next > 0) this.#sendCount(room, next)
    }, COUNT_INTERVAL_MS).unref()
  }

  #notify (room: string, frame: string, exceptUser?: string): void {
    this.#broker.notify({ kind: 'notice', room, frame, exceptUser }).catch((error: unknown) => {
      if (!(error instanceof RoomcastError)) this.#onError(error) // While the broker is unavailable, notices are lost.
    })
  }
}
