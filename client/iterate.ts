import { RoomcastError } from './errors.ts'
import type { Message } from './message.ts'
import type { RoomEvents } from './room-events.ts'

/** The longest queue of an iteration, messages. */
const MAX_BEHIND = 10_000

/** The parts of a room that an iteration uses. */
export interface Iterated<Data> {
  readonly name: string
  readonly error: RoomcastError | undefined
  join (): Promise<unknown>
  on<E extends keyof RoomEvents<Data>> (event: E, listener: (value: RoomEvents<Data>[E]) => void): () => void
}

type Result<Data> = IteratorResult<Message<Data>, undefined>

/**
 * Iterates over the messages of a room, which it joins at the first step. Ends when the client leaves the room, or the loop ends.
 * Throws where it cannot go on without a gap. A generator would keep `return` waiting for the next message.
 */
export class RoomIterator<Data> implements AsyncIterableIterator<Message<Data>, undefined> {
  readonly #room: Iterated<Data>
  readonly #messages: Message<Data>[] = []
  readonly #waiting: { resolve: (result: Result<Data>) => void, reject: (error: unknown) => void }[] = []
  #end: RoomcastError | true | undefined
  #stops: (() => void)[] | undefined

  constructor (room: Iterated<Data>) {
    this.#room = room
  }

  /** The next message. */
  async next (): Promise<Result<Data>> {
    if (this.#stops === undefined) this.#begin()
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#settle()
    })
  }

  /** Ends the iteration now, also for a step that waits. */
  async return (): Promise<Result<Data>> {
    this.#messages.length = 0
    this.#finish(true)
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator] (): this {
    return this
  }

  #begin (): void {
    const room = this.#room
    this.#stops = [
      room.on('message', (message) => {
        if (this.#messages.length < MAX_BEHIND) this.#messages.push(message)
        else this.#finish(new RoomcastError('queue_full', 'The loop is too slow for the messages of the room'))
        this.#settle()
      }),
      room.on('reset', () => { this.#finish(new RoomcastError('reset', `Messages of ${room.name} may be missing`)) }),
      room.on('state', (state) => {
        if (state === 'refused') this.#finish(room.error ?? true)
        else if (state === 'idle') this.#finish(true)
      })
    ]
    room.join().catch((error: RoomcastError) => { this.#finish(error) })
  }

  #finish (end: RoomcastError | true): void {
    this.#end ??= end
    for (const stop of this.#stops ??= []) stop()
    this.#settle()
  }

  /** Settles the steps that wait. An error is thrown once, after the messages before it. */
  #settle (): void {
    while (this.#waiting.length > 0) {
      const value = this.#messages.shift()
      if (value === undefined && this.#end === undefined) return
      const step = this.#waiting.shift()
      if (value !== undefined) step?.resolve({ done: false, value })
      else if (this.#end === true) step?.resolve({ done: true, value: undefined })
      else {
        step?.reject(this.#end)
        this.#end = true
      }
    }
  }
}
