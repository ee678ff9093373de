import { Emitter } from './emitter.ts'
import type { Message } from './message.ts'
import { isOwnEvent, type RoomEvents } from './room-events.ts'

/** The listeners of a room: for the events of the room, and for the events of its messages. */
export class RoomListeners<Data> {
  readonly #own = new Emitter<RoomEvents<Data>>()
  readonly #named = new Emitter<Record<string, Message<Data>>>()

  /** Whether there are listeners. */
  get isUsed (): boolean {
    return this.#own.isUsed || this.#named.isUsed
  }

  /** Adds a listener; returns a function that removes it. */
  on (event: string, listener: (value: never) => void): () => void {
    const any = listener as (value: unknown) => void // `Room.on` has the types.
    return isOwnEvent(event) ? this.#own.on(event, any) : this.#named.on(event, any)
  }

  /** Calls the listeners of one of the room's own events, and those of the event that a message has. */
  emit<E extends keyof RoomEvents<Data>> (event: E, value: RoomEvents<Data>[E]): void {
    this.#own.emit(event, value)
  }

  /** Calls the listeners of a message. */
  emitMessage (message: Message<Data>): void {
    this.#own.emit('message', message)
    if (message.event !== undefined) this.#named.emit(message.event, message)
  }
}
