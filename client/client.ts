import type { ClientFrames, ServerFrame, ServerFrames } from '../src/protocol/frames.ts'
import { Answers } from './answers.ts'
import { encodeBase64 } from './base64.ts'
import { Connector } from './connector.ts'
import { Emitter } from './emitter.ts'
import { closed, type RoomcastError, toError } from './errors.ts'
import type { SentFrame, Transport } from './link.ts'
import type { HistoryOptions } from './message.ts'
import { Outbox } from './outbox.ts'
import { Room, type RoomPort } from './room.ts'
import type { Status } from './status.ts'
import { type TokenProvider, TokenSource } from './token-source.ts'
import type { WebSocketConstructor } from './websocket-link.ts'

/** The default maximum of pending publishes. */
const MAX_PENDING = 1_000
/** A token that expires sooner than this is not used for a new connection, ms. */
const TOKEN_MARGIN_MS = 30_000

/** The options of a client. */
export interface ConnectOptions {
  /** The URL of the service with its path prefix: `https://example.com`. In a browser it may be relative to the page. */
  url: string
  /** A token, or a function that gets one. The function is called again after a refusal, and when the token expires. */
  token: TokenProvider
  /** The allowed transports. By default WebSocket, with event streams as the fallback. */
  transports?: readonly Transport[]
  /** The maximum of publishes without an answer; 1,000 by default. */
  maxPending?: number
  /** Replaces the global `WebSocket`. */
  WebSocket?: WebSocketConstructor
  /** Replaces the global `fetch`. */
  fetch?: typeof fetch
}

/** The events of a client, by name. */
export interface ClientEvents {
  status: Status
  /** The service refused a frame without a pending promise. */
  error: RoomcastError
}

/** The payload of a room, by a map from names (or template literal types) to payloads. */
export type DataOf<Rooms extends object, Name extends string> = Name extends keyof Rooms ? Rooms[Name] : unknown

/** A read of history without an answer. */
interface Read {
  frame: ClientFrames['history'] & { id: number }
  reject: (error: RoomcastError) => void
}

/** A client of the service: one connection at a time, and the rooms on it. It reconnects until it is closed. */
export class Client<Rooms extends object = Record<string, unknown>> {
  /** The client's secret name on all its connections: a REST publish with this `exclude` leaves the client out. */
  readonly origin = makeOrigin()
  readonly #emitter = new Emitter<ClientEvents>()
  readonly #answers = new Answers()
  readonly #rooms = new Map<string, Room>()
  readonly #reads = new Set<Read>()
  readonly #outbox: Outbox
  readonly #connector: Connector
  readonly #port: RoomPort
  #user: string | undefined
  /** The current link has sent its welcome. */
  #isOpen = false

  /** @internal Use `connect`. */
  constructor (options: ConnectOptions) {
    const {
      url,
      token,
      transports = ['websocket', 'events'],
      maxPending = MAX_PENDING,
      WebSocket = globalThis.WebSocket as WebSocketConstructor | undefined,
      // Simulated pages may have none.
      fetch = (globalThis.fetch as typeof globalThis.fetch | undefined)?.bind(globalThis)
    } = options
    this.#outbox = new Outbox(
      maxPending,
      this.#answers,
      (frame, bytes) => { this.#connector.send(frame, bytes) },
      (room) => this.#isOpen && this.#rooms.get(room)?.state === 'joined',
      (published) => { this.#rooms.get(published.room)?.onPassed(published) }
    )
    this.#port = this.#makePort()
    this.#connector = new Connector({
      url: normaliseUrl(url),
      origin: this.origin,
      token: new TokenSource(token, TOKEN_MARGIN_MS),
      transports,
      WebSocket,
      events: { fetch, rooms: () => [...this.#rooms.values()].filter(({ wanted }) => wanted) },
      onStatus: (status) => {
        if (status.state === 'closed') this.#onClosed()
        this.#emitter.emit('status', status)
      },
      onOpen: ({ user }) => { this.#onOpen(user) },
      onFrame: (frame, bytes) => { this.#onFrame(frame, bytes) },
      onDown: (code) => { this.#onDown(code) }
    })
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
    let room = this.#rooms.get(name)
    if (room === undefined) {
      room = new Room(name, this.#port)
      this.#rooms.set(name, room)
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

  /** Closes the connection and does not reconnect. Publishes without an answer are rejected, but may be in their rooms. */
  close (): void {
    this.#connector.close()
  }

  #makePort (): RoomPort {
    return {
      answers: this.#answers,
      isClosed: () => this.#isClosed,
      send: (frame) => { this.#send(frame) },
      publish: async (room, content, { event, echo, key = makeOrigin() }) => (
        await this.#outbox.publish({ room, ...content, event, echo, key })
      ),
      history: async (room, options) => await this.#readHistory(room, options),
      onJoined: () => { this.#outbox.flush() },
      onLeft: (room, error) => { this.#outbox.reject(error, room) }
    }
  }

  get #isClosed (): boolean {
    return this.status.state === 'closed'
  }

  #send (frame: SentFrame): void {
    if (this.#isOpen) this.#connector.send(frame)
  }

  async #readHistory (room: string, options: HistoryOptions): Promise<ServerFrames['history']> {
    if (this.#isClosed) throw closed()
    const id = this.#answers.nextId()
    const frame = { type: 'history' as const, room, id, ...options }
    return await new Promise((resolve, reject) => {
      const read = { frame, reject }
      this.#reads.add(read)
      this.#answers.expect(id, (answer) => {
        this.#reads.delete(read)
        this.#answers.forget(id)
        if (answer.type === 'history') resolve(answer)
        else if (answer.type === 'error') reject(toError(answer))
      })
      this.#send(frame)
    })
  }

  #onOpen (user: string): void {
    this.#user = user
    this.#isOpen = true
    for (const room of this.#rooms.values()) if (room.wanted) room.rejoin()
    for (const { frame } of this.#reads) this.#connector.send(frame)
  }

  #onDown (code: number): void {
    this.#isOpen = false
    for (const room of this.#rooms.values()) room.onDown()
    this.#outbox.onDown(code)
  }

  #onClosed (): void {
    const error = closed()
    for (const room of this.#rooms.values()) room.onClosed()
    for (const { reject } of this.#reads) reject(error)
    this.#reads.clear()
    this.#outbox.reject(error)
  }

  #onFrame (frame: ServerFrame, bytes: Uint8Array | undefined): void {
    if (this.#answers.take(frame)) return
    const { type } = frame
    if (type === 'error') this.#emitter.emit('error', toError(frame))
    else if (type === 'message' || type === 'reset' || type === 'system' || (type === 'left' && frame.id === undefined)) {
      this.#rooms.get(frame.room)?.onFrame(frame, bytes)
    }
  }
}

/** 22 unguessable characters. */
function makeOrigin (): string {
  return encodeBase64(crypto.getRandomValues(new Uint8Array(16))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '')
}

/** The absolute URL over HTTP, without `/ws` or a slash at the end. */
function normaliseUrl (url: string): string {
  const base = typeof location === 'undefined' ? undefined : location.href
  const { origin, host, protocol, pathname } = new URL(url, base)
  const segments = pathname.split('/').filter((segment) => segment !== '')
  if (segments.at(-1) === 'ws') segments.pop()
  return [origin === 'null' ? `${protocol}//${host}` : origin, ...segments].join('/').replace(/^ws/, 'http')
}
