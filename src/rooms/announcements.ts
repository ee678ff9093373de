import type { Broker } from '../broker/broker.ts'
import { RoomcastError } from '../errors.ts'
import { encodeFrame } from '../protocol/codec.ts'

/** Above this many members a room is told how many they are, not who came and went. */
const NAMED_UP_TO = 100
/** Counts are told at most this often per room, ms. */
const COUNT_INTERVAL_MS = 1_000

/** Tells the members of a room who came and who went. */
export class Announcements {
  readonly #broker: Broker
  readonly #onError: (error: unknown) => void
  /** Rooms whose count was told less than an interval ago, and the count that is to be told next. */
  readonly #counts = new Map<string, number | undefined>()

  constructor (broker: Broker, onError: (error: unknown) => void) {
    this.#broker = broker
    this.#onError = onError
  }

  /** @param members of the room after it; undefined if it changed nothing */
  announce (room: string, event: 'joined' | 'left', user: string, members: number | undefined): void {
    if (members === undefined) return
    // A count that is still to be told has to be true by then, also when the room has become small.
    if (this.#counts.get(room) !== undefined) this.#counts.set(room, members)
    if (members === 0) return
    if (members > NAMED_UP_TO) {
      this.#announceCount(room, members)
      return
    }
    const frame = encodeFrame({ type: 'system', room, event, user, text: `${user} ${event} ${room}` })
    this.#notify(room, frame, user)
  }

  #announceCount (room: string, count: number): void {
    if (this.#counts.has(room)) {
      this.#counts.set(room, count)
      return
    }
    this.#counts.set(room, undefined)
    this.#notify(room, encodeFrame({ type: 'system', room, event: 'members', count, text: `${count} members in ${room}` }))
    setTimeout(() => {
      const next = this.#counts.get(room)
      this.#counts.delete(room)
      if (next !== undefined && next > 0) this.#announceCount(room, next)
    }, COUNT_INTERVAL_MS).unref()
  }

  #notify (room: string, frame: string, exceptUser?: string): void {
    this.#broker.notify({ kind: 'notice', room, frame, exceptUser }).catch((error: unknown) => {
      if (!(error instanceof RoomcastError)) this.#onError(error) // Notices may be lost: while the broker is away, they are.
    })
  }
}
