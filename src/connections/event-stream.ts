import type { Writable } from 'node:stream'
import type { Identity } from '../auth/identity.ts'
import { RoomcastError } from '../errors.ts'
import type { Connection } from '../hub/connection.ts'
import { AUTOMATIC_ROOMS } from '../protocol/names.ts'
import type { Position } from '../protocol/position.ts'
import { joinedFrame } from '../rooms/joined.ts'
import { EventStreamTransport } from '../transport/event-stream.ts'
import { CLOSE_TIMEOUT_MS } from '../transport/ws-internals.ts'
import type { Connections } from './connections.ts'

/** A client's request for an event stream. */
export interface StreamRequest {
  /** Sorted, each once; automatic rooms by their aliases. */
  rooms: string[]
  /** The positions up to which the client has the messages, room by room; undefined for a first visit. */
  since: Position[] | undefined
  /** The client's own name across its connections. */
  origin: string | undefined
  /** Whether the client speaks `roomcast.v1`: it gets a `welcome`, and an `error` with the room as `id` for each refused room. */
  welcome: boolean
}

/** The parts that event streams are made with. */
export interface EventStreamsOptions {
  connections: Connections
  /** Receives internal errors. */
  onError: (error: unknown) => void
}

/** Makes connections of HTTP responses: server-sent events, the fallback where WebSockets are blocked. */
export class EventStreams {
  readonly #options: EventStreamsOptions

  constructor (options: EventStreamsOptions) {
    this.#options = options
  }

  /** Opens a connection on a response whose headers are written. */
  open (response: Writable, identity: Identity, request: StreamRequest): void {
    const { connections, onError } = this.#options
    const transport = new EventStreamTransport(response, request.rooms, CLOSE_TIMEOUT_MS)
    const connection = connections.open(transport, identity, request.origin)
    response.on('error', () => { response.destroy() })
    response.once('close', () => { connections.closed(connection) })
    this.#enter(connection, transport, identity, request).catch((error: unknown) => {
      onError(error)
      connection.close('internal')
    })
  }

  async #enter (connection: Connection, transport: EventStreamTransport, identity: Identity, request: StreamRequest): Promise<void> {
    const { connections } = this.#options
    const { rooms, since, welcome } = request
    // Until a room is joined, the ids of events repeat the client's position in it.
    rooms.forEach((room, i) => { transport.place(room, since?.[i]) })
    await connections.enter(connection, identity, AUTOMATIC_ROOMS.filter((room) => !rooms.includes(room)), welcome)
    for (const [i, name] of rooms.entries()) {
      if (connection.ended) return
      const join = connections.joinPersistently(connection, identity, name, (joined) => {
        // A client that disconnects before the missed messages have arrived does not have them.
        transport.place(joined.room, joined.recovered === true && joined.missed !== 0 ? since?.[i] : joined.position)
        connection.send(joinedFrame(joined))
      }, { since: since?.[i] })
      await join.catch((error: unknown) => {
        if (!welcome || !(error instanceof RoomcastError)) throw error
        connection.sendError(error, name)
      })
    }
  }
}
