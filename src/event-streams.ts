import type { ServerResponse } from 'node:http'
import { AUTOMATIC_ROOMS, type Entrance } from './entrance.ts'
import { RoomcastError } from './errors.ts'
import type { Hub } from './hub/hub.ts'
import type { Position } from './protocol/envelope.ts'
import type { Identity } from './rooms/identity.ts'
import { EventStreamTransport } from './transport/event-stream.ts'
import { CLOSE_TIMEOUT_MS } from './upgraded.ts'

/** What a client asked for. */
export interface StreamParameters {
  /** Sorted, each once; automatic ones by their aliases. */
  rooms: string[]
  /** What it has had already, room by room; undefined for a first visit. */
  since: Position[] | undefined
  origin: string | undefined
  /** Whether it speaks our protocol: wants a `welcome`, and is told by an `error` with its name as `id` of a room that it may not join. */
  welcome: boolean
}

export interface EventStreamsOptions {
  hub: Hub
  entrance: Entrance
  /** Told what is our fault. */
  onError: (error: unknown) => void
}

/** Makes connections of HTTP responses: server-sent events, for where WebSockets do not get through. */
export class EventStreams {
  readonly #options: EventStreamsOptions

  constructor (options: EventStreamsOptions) {
    this.#options = options
  }

  /** Opens a connection on a response whose headers are written. */
  open (response: ServerResponse, identity: Identity, parameters: StreamParameters): void {
    const { hub, entrance, onError } = this.#options
    const transport = new EventStreamTransport(response, parameters.rooms, CLOSE_TIMEOUT_MS)
    const connection = entrance.open(identity, parameters.origin, transport)
    response.on('error', () => { response.destroy() })
    response.once('close', () => {
      connection.end()
      hub.remove(connection)
    })
    hub.add(connection)

    const { rooms, since, welcome } = parameters
    const enter = async (): Promise<void> => {
      // Before the first of them is joined, ids say of the others what the client said.
      rooms.forEach((room, i) => { transport.place(room, since?.[i]) })
      await entrance.enter(connection, identity, AUTOMATIC_ROOMS.filter((room) => !rooms.includes(room)), welcome)
      for (const [i, name] of rooms.entries()) {
        if (connection.ended) return
        const join = entrance.joinForSure(connection, identity, name, ({ room, position, ...joined }) => {
          // Who leaves before the missed messages are here has not had them.
          transport.place(room, joined.recovered === true && joined.missed !== 0 ? since?.[i] : position)
          connection.send({ type: 'joined', room, ...position, ...joined })
        }, { since: since?.[i] })
        await join.catch((error: unknown) => {
          if (!welcome || !(error instanceof RoomcastError)) throw error
          const { code, message, retryable, retryAfterMs } = error
          connection.send({ type: 'error', code, text: message, retryable, retryAfterMs, id: name })
        })
      }
    }
    enter().catch((error: unknown) => {
      onError(error)
      connection.close('internal')
    })
  }
}
