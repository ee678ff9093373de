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
export function iterate<Data> (room: Iterated<Data>): AsyncIterableIterator<Message<Data>, undefined> {
  const messages: Message<Data>[] = []
  const steps: { resolve: (result: Result<Data>) => void, reject: (error: unknown) => void }[] = []
  let end: RoomcastError | true | undefined
  let stops: (() => void)[] | undefined

  /** Settles the steps that wait. An error is thrown once, after the messages before it. */
  const settle = (): void => {
    while (steps.length > 0 && (messages.length > 0 || end !== undefined)) {
      const step = steps.shift()
      const value = messages.shift()
      if (value !== undefined) step?.resolve({ done: false, value })
      else if (end === true) step?.resolve({ done: true, value: undefined })
      else {
        step?.reject(end)
        end = true
      }
    }
  }
  const finish = (how: RoomcastError | true): void => {
    end ??= how
    for (const stop of stops ??= []) stop()
    settle()
  }
  const begin = (): (() => void)[] => [
    room.on('message', (message) => {
      if (messages.length < MAX_BEHIND) messages.push(message)
      else finish(new RoomcastError('queue_full', 'The loop is too slow'))
      settle()
    }),
    room.on('reset', () => { finish(new RoomcastError('reset', `Messages of ${room.name} may be missing`)) }),
    room.on('state', (state) => { if (state === 'refused' || state === 'idle') finish(room.error ?? true) })
  ]

  return {
    async next () {
      if (stops === undefined) {
        stops = begin()
        room.join().catch(finish)
      }
      return await new Promise((resolve, reject) => {
        steps.push({ resolve, reject })
        settle()
      })
    },
    async return () {
      messages.length = 0
      finish(true)
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator] () {
      return this
    }
  }
}
