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

/** Joins a room and yields its messages. Ends when the client leaves the room; throws where it cannot go on without a gap. */
export async function * iterate<Data> (room: Iterated<Data>): AsyncGenerator<Message<Data>, void, undefined> {
  const messages: Message<Data>[] = []
  let end: RoomcastError | true | undefined
  let wake = (): void => {}
  const finish = (how: RoomcastError | true): void => {
    end ??= how
    wake()
  }
  const stops = [
    room.on('message', (message) => {
      if (messages.length >= MAX_BEHIND) finish(new RoomcastError('queue_full', 'The loop is too slow'))
      else if (end === undefined) messages.push(message)
      wake()
    }),
    room.on('reset', () => { finish(new RoomcastError('reset', `Messages of ${room.name} may be missing`)) }),
    room.on('state', (state) => {
      if (state === 'refused') finish(room.error ?? true)
      else if (state === 'idle') finish(true)
    })
  ]
  try {
    room.join().catch(finish)
    for (;;) {
      const message = messages.shift()
      if (message !== undefined) yield message
      else if (end === true) return
      else if (end !== undefined) throw end
      else await new Promise<void>((resolve) => { wake = resolve })
    }
  } finally {
    for (const stop of stops) stop()
  }
}
