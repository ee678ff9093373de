import type { ServerFrame, ServerFrames } from '../src/protocol/frames.ts'
import { encodeBase64 } from './base64.ts'
import { Connector } from './connector.ts'
import { Emitter } from './emitter.ts'
import { closed, type RoomcastError, toError } from './errors.ts'
import { type ConnectOptions, readOptions } from './options.ts'
import { HistoryReads } from './history.ts'
import { Outbox } from './outbox.ts'
import { Requests } from './requests.ts'
import { Room } from './room.ts'
import type { RoomPort } from './room-port.ts'
import type { Status } from './status.ts'
import { TokenSource } from './token-source.ts'

/** A token that expires sooner than this is not used for a new connection, ms. */
const TOKEN_MARGIN_MS = 30_000

/** The events of a client, by name. */
export interface ClientEvents {
  status: Status
  /** The service refused a frame without a pending promise. */
  error: RoomcastError
}

/** The payload of a room, by a map from names (or template literal types) to payloads. */
export type DataOf<Rooms extends object, Name extends string> = Name extends keyof Rooms ? Rooms[Name] : unknown

/** A client of the service: one connection at a time, and the rooms on it. It reconnects until it is closed. */
export class Client<Rooms extends object = Record<string, unknown>> {
  /** The client's secret name on all its connections: a REST publish with this `exclude` leaves the client out. */
  readonly origin = makeOrigin()
  readonly #emitter = new Emitter<ClientEvents>()
  /** The rooms in use, and the others while the application has them. */
  readonly #rooms = new Map<string, Room>()
  readonly #idle = new Map<string, WeakRef<Room>>()
  readonly #forgotten = new FinalizationRegistry((name: string) => {
    if (this.#idle.get(name)?.deref() === undefined) this.#idle.delete(name)
  })

  readonly #requests: Requests
  readonly #history: HistoryReads
  readonly #outbox: Outbox
  readonly #connector: Connector
  readonly #port: RoomPort
  readonly #log: (message: string, detail?: unknown) => void
  #user: string | undefined
  #hasStreams = false

  /** @internal Use `connect`. */
  constructor (given: ConnectOptions) {
    const options = readOptions(given)
    const { clock, token, maxPending: max, timeouts, fetch, log } = options
    this.#log = log
    const requests = this.#requests = new Requests(
      clock,
      (frame, bytes) => { this.#connector.send(frame, bytes) },
      (ms) => { log(`The service refuses frames for their rate; nothing is sent for ${Math.ceil(ms)} ms`) }
    )
    this.#history = new HistoryReads({ clock, requests, max, timeoutMs: timeouts.historyMs })
    this.#outbox = new Outbox({
      clock,
      requests,
      max,
      isJoined: (room) => this.#rooms.get(room)?.isOpen === true,
      onPassed: (published) => { this.#rooms.get(published.room)?.onPassed(published) }
    })
    this.#port = {
      clock,
      requests,
      isClosed: () => this.status.state === 'closed',
      publish: async (room, value, { key = makeOrigin(), ...options }) => await this.#outbox.publish(room, value, { ...options, key }),
      history: async (room, options, isBounded) => await this.#history.read(room, options, isBounded),
      onUse: (room, isUsed) => { this.#keep(room, isUsed) },
      onLeft: (room, error) => {
        log(`The room ${room} is no longer joined`, error)
        this.#outbox.reject(error, room)
      },
      report: (error) => { this.#report(error) }
    }
    this.#connector = new Connector({
      ...options,
      origin: this.origin,
      token: new TokenSource(token, { clock, marginMs: TOKEN_MARGIN_MS, timeoutMs: timeouts.tokenMs }),
      connectTimeoutMs: timeouts.connectMs,
      events: { fetch, isCurrent: (id) => requests.isCurrent(id), rooms: () => [...this.#rooms.values()].filter(({ wanted }) => wanted) },
      onStatus: (status) => { this.#onStatus(status) },
      onOpen: ({ user }, { hasStreams }) => {
        this.#user = user
        this.#hasStreams = hasStreams
        requests.onOpen(hasStreams)
      },
      onFrame: (frame, bytes) => { this.#onFrame(frame, bytes) },
      onDown: (code) => { this.#onDown(code) }
    })
    if (given.autoConnect !== false) this.#connector.connect()
  }

  /** The state of the connection. */
  get status (): Status {
    return this.#connector.status
  }

  /** The user of the token; undefined until the first connection. */
  get user (): string | undefined {
    return this.#user
  }

  /** A room by its name, always the same object. `@user` is the user's own room, `@all` the room of all users. Does not join. */
  room<Name extends string> (name: Name): Room<DataOf<Rooms, Name>> {
    let room = this.#rooms.get(name) ?? this.#idle.get(name)?.deref()
    if (room === undefined) {
      room = new Room(name, this.#port)
      this.#forgotten.register(room, name)
      this.#keep(room, false)
    }
    return room as unknown as Room<DataOf<Rooms, Name>> // The application declares its payloads.
  }

  /** Calls a listener for each future event; returns a function that stops this. */
  on<E extends keyof ClientEvents> (event: E, listener: (value: ClientEvents[E]) => void): () => void {
    return this.#emitter.on(event, listener)
  }

  /** Ends a wait and connects now, for a button beside the status. */
  retry (): void {
    this.#connector.retry()
  }

  /** Connects again after `disconnect`, or for the first time with `autoConnect: false`. */
  connect (): void {
    this.#connector.connect()
  }

  /** Ends the connection until `connect`. Rooms stay wanted and resume then; publishes wait. */
  disconnect (): void {
    this.#connector.disconnect()
  }

  /** Closes the connection for good. Publishes without an answer are rejected, but may be in their rooms. */
  close (): void {
    this.#connector.close()
  }

  /** Keeps a room that is in use; the others are forgotten with their objects. */
  #keep (room: Room, isUsed: boolean): void {
    const { name } = room
    if (isUsed === this.#rooms.has(name) && this.#idle.has(name) !== isUsed) return
    if (isUsed) {
      this.#rooms.set(name, room)
      this.#idle.delete(name)
    } else {
      this.#rooms.delete(name)
      this.#idle.set(name, new WeakRef(room))
    }
  }

  #report (error: RoomcastError): void {
    this.#log('An error was reported', error)
    this.#emitter.emit('error', error)
  }

  #onStatus (status: Status): void {
    this.#log(`The client is ${status.state}`, status)
    if (status.state === 'closed') {
      const error = closed()
      for (const room of [...this.#rooms.values()]) room.onClosed()
      this.#history.reject(error)
      this.#outbox.reject(error)
    }
    this.#emitter.emit('status', status)
  }

  #onDown (code: number): void {
    this.#outbox.onDown(code) // While it is known which publishes were sent.
    this.#requests.onDown(code)
    for (const room of [...this.#rooms.values()]) room.onDown()
  }

  #onError (frame: ServerFrames['error']): void {
    // An event stream that was opened again refuses a room by its name.
    const room = typeof frame.id === 'string' ? this.#rooms.get(frame.id) : undefined
    if (room === undefined) this.#report(toError(frame))
    else room.onRefusal(frame)
  }

  #onFrame (frame: ServerFrame, bytes: Uint8Array | undefined): void {
    const { type } = frame
    if (this.#requests.take(frame)) return
    if (type === 'error') this.#onError(frame)
    // A stream that is opened again joins its rooms again. On a WebSocket, the notice of an automatic room would be taken for a gap.
    else if (type === 'message' || type === 'reset' || type === 'system' || type === 'left' || (type === 'joined' && this.#hasStreams)) {
      this.#rooms.get(frame.room)?.onFrame(frame, bytes)
    }
  }
}

/** 22 unguessable characters. */
function makeOrigin (): string {
  return encodeBase64(crypto.getRandomValues(new Uint8Array(16))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '')
}
