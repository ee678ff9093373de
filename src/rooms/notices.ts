import type { Broker } from '../broker/broker.ts'
import { RoomcastError } from '../errors.ts'
import { encodeFrame } from '../protocol/codec.ts'

/** Largest room with names in its notices. In a larger room, notices have the number of members instead. */
const NAMED_UP_TO = 100
/** Time between notices of the number of members in one room, ms. */
const COUNT_INTERVAL_MS = 1_000

/** Sends notices of joins and leaves to the members of a room. */
export class Notices {
  readonly #broker: Broker
  readonly #onError: (error: unknown) => void
  /** Rooms with a notice of their number of members within the interval, and the number for the next notice. */
  readonly #counts = new Map<string, number | undefined>()

  constructor (broker: Broker, onError: (error: unknown) => void) {
    this.#broker = broker
    this.#onError = onError
  }

  /** @param members of the room after the event; undefined if the event changed nothing */
  send (room: string, event: 'joined' | 'left', user: string, members: number | undefined): void {
    if (members === undefined) return
    // The number for the next notice must be current, also if the room has become small.
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
