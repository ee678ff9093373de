import type { ServerFrame, ServerFrames } from '../src/protocol/frames.ts'
import { encodeBase64 } from './base64.ts'
import { Connector } from './connector.ts'
import { Emitter } from './emitter.ts'
import { closed, RoomcastError, toError } from './errors.ts'
import type { Transport } from './link.ts'
import type { HistoryOptions } from './message.ts'
import { Outbox } from './outbox.ts'
import type { Position } from './position.ts'
import type { Published } from './published.ts'
import { Room, type RoomPort } from './room.ts'
import type { Status } from './status.ts'
import { type TokenProvider, TokenSource } from './token-source.ts'
import type { WebSocketConstructor } from './websocket-link.ts'

/** Publishes that may wait, unless told otherwise. */
const MAX_PENDING = 1_000
/** A token that expires sooner than this is not used for a new connection, ms. */
const TOKEN_MARGIN_MS = 30_000

export interface ConnectOptions {
  /** Where the service is: `https://example.com`, with its prefix if it has one. In a browser, relative to the page. */
  url: string
  /** A token, or a function that gets one; it is asked again when a token was refused or has ended. */
  token: TokenProvider
  /** The ways that may be taken; both, unless told otherwise: WebSockets, and event streams where those do not get through. */
  transports?: readonly Transport[]
  /** Publishes that may wait for an answer; 1,000 unless told otherwise. */
  maxPending?: number
  /** Instead of the global one. */
  WebSocket?: WebSocketConstructor
  /** Instead of the global one. */
  fetch?: typeof fetch
}

/** What a client tells. */
export interface ClientEvents {
  status: Status
  /** Something was refused that nobody waits for. */
  error: RoomcastError
}

/** The payload of a room, by a map from names (or template literal types) to payloads. */
export type DataOf<Rooms extends object, Name extends string> = Name extends keyof Rooms ? Rooms[Name] : unknown

interface Request {
  frame: { type: 'history', room: string, id: number } & HistoryOptions
  resolve: (page: ServerFrames['history']) => void
  reject: (error: RoomcastError) => void
}

/** A client of the service: one connection at a time, and the rooms on it. It comes back by itself until it is closed. */
export class Client<Rooms extends object = Record<string, unknown>> {
  /** This client's own name on all its connections: `exclude` of a REST publish leaves it out. Nobody else sees it. */
  readonly origin: string
  readonly #emitter = new Emitter<ClientEvents>()
  readonly #rooms = new Map<string, Room>()
  readonly #requests = new Map<number, Request>()
  readonly #outbox: Outbox
  readonly #connector: Connector
  readonly #port: RoomPort
  #user: string | undefined
  #lastId = 0
  /** There is a link, and it has said welcome. */
  #isOpen = false

  /** @internal `connect` makes clients. */
  constructor ({ url, token, transports = ['websocket', 'events'], maxPending = MAX_PENDING, WebSocket = globalThis.WebSocket as WebSocketConstructor | undefined, fetch = globalThis.fetch.bind(globalThis) }: ConnectOptions) {
    this.origin = makeOrigin()
    this.#outbox = new Outbox(maxPending, (frame, bytes) => { this.#connector.send(frame, bytes) }, (room) => this.#isOpen && this.#rooms.get(room)?.state === 'joined', () => ++this.#lastId)
    this.#port = this.#makePort()
    this.#connector = new Connector({
      url: normaliseUrl(url),
      origin: this.origin,
      token: new TokenSource(token, TOKEN_MARGIN_MS),
      transports,
      WebSocket,
      events: { fetch, rooms: () => new Map([...this.#rooms.values()].filter(({ wanted }) => wanted).map(({ name, position }) => [name, position])) },
      onStatus: (status) => {
        if (status.state === 'closed') this.#onClosed()
        this.#emitter.emit('status', status)
      },
      onOpen: ({ user }) => { this.#onOpen(user) },
      onFrame: (frame, bytes) => { this.#onFrame(frame, bytes) },
      onDown: (code) => { this.#onDown(code) }
    })
  }

  get status (): Status {
    return this.#connector.status
  }

  /** Who the token says this is; undefined until the first connection. */
  get user (): string | undefined {
    return this.#user
  }

  /** A room by its name, always the same object. `@user` is this user's own, `@all` everybody's. Not joined by this. */
  room<Name extends string> (name: Name): Room<DataOf<Rooms, Name>> {
    let room = this.#rooms.get(name)
    if (room === undefined) {
      room = new Room(name, this.#port)
      this.#rooms.set(name, room)
    }
    return room as unknown as Room<DataOf<Rooms, Name>> // As its user says.
  }

  /** Calls a listener for each event from here on; returns how to stop that. */
  on<E extends keyof ClientEvents> (event: E, listener: (value: ClientEvents[E]) => void): () => void {
    return this.#emitter.on(event, listener)
  }

  /** While it waits: has it try to connect now. What a button for impatient people does. */
  retry (): void {
    this.#connector.retry()
  }

  /** Ends the connection, for good. Publishes without an answer are rejected; they may be in their rooms. */
  close (): void {
    this.#connector.close()
  }

  #makePort (): RoomPort {
    const isClosed = (): boolean => this.status.state === 'closed'
    return {
      get closed () { return isClosed() },
      sendJoin: (room, since) => {
        const id = ++this.#lastId
        if (this.#isOpen) this.#connector.send({ type: 'join', room, ...(since !== undefined && { since: since as Position }), id })
        return id
      },
      sendLeave: (room) => {
        this.#outbox.reject(new RoomcastError('not_joined', `${room} was left`), room)
        if (this.#isOpen) this.#connector.send({ type: 'leave', room, id: ++this.#lastId })
      },
      publish: async (room, content, { event, echo, key = makeOrigin() }): Promise<Published> => await this.#outbox.publish({ room, ...content, event, echo, key }),
      history: async (room, options) => await new Promise((resolve, reject) => {
        if (isClosed()) {
          reject(closed())
          return
        }
        const frame = { type: 'history' as const, room, id: ++this.#lastId, ...options }
        this.#requests.set(frame.id, { frame, resolve, reject })
        if (this.#isOpen) this.#connector.send(frame)
      }),
      onJoined: () => { this.#outbox.flush() },
      onRefused: (room, error) => { this.#outbox.reject(error, room) }
    }
  }

  #onOpen (user: string): void {
    this.#user = user
    this.#isOpen = true
    for (const room of this.#rooms.values()) if (room.wanted) room.rejoin()
    for (const { frame } of this.#requests.values()) this.#connector.send(frame)
  }

  #onDown (code: number): void {
    this.#isOpen = false
    for (const room of this.#rooms.values()) room.onDown()
    this.#outbox.onDown(code)
  }

  #onClosed (): void {
    const error = closed()
    for (const room of this.#rooms.values()) room.onClosed()
    for (const { reject } of this.#requests.values()) reject(error)
    this.#requests.clear()
    this.#outbox.reject(error)
  }

  #onFrame (frame: ServerFrame, bytes: Uint8Array | undefined): void {
    if (frame.type === 'ack') this.#outbox.onAck(frame)
    else if (frame.type === 'error') this.#onError(frame)
    else if (frame.type === 'history') {
      const request = this.#requests.get(frame.id as number)
      this.#requests.delete(frame.id as number)
      request?.resolve(frame)
    } else if (frame.type === 'message' || frame.type === 'reset' || frame.type === 'system') this.#rooms.get(frame.room)?.onFrame(frame, bytes)
    else if (frame.type === 'joined') {
      // Without an id it is not ours: the service could not put us into an automatic room before, and has now.
      const room = this.#rooms.get(frame.room)
      if (room?.isAnswer(frame.id) === true) room.onFrame(frame)
    } else if (frame.type === 'left' && frame.id === undefined) this.#rooms.get(frame.room)?.onFrame(frame)
  }

  #onError (frame: ServerFrames['error']): void {
    const { id } = frame
    if (this.#outbox.onError(frame)) return
    const error = toError(frame)
    const request = this.#requests.get(id as number)
    if (request !== undefined) {
      this.#requests.delete(id as number)
      request.reject(error)
      return
    }
    const room = id === undefined ? undefined : [...this.#rooms.values()].find((room) => room.isAnswer(id))
    if (room !== undefined) room.onError(frame)
    else this.#emitter.emit('error', error)
  }
}

/** 22 characters that nobody guesses. */
function makeOrigin (): string {
  return encodeBase64(crypto.getRandomValues(new Uint8Array(16))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '')
}

/** An absolute URL over http, without `/ws` and a slash at the end. */
function normaliseUrl (url: string): string {
  const base = (globalThis as { location?: { href: string } }).location?.href
  const { origin, host, protocol, pathname } = new URL(url, base)
  return `${origin === 'null' ? `${protocol}//${host}` : origin}${pathname}`.replace(/^ws/, 'http').replace(/(\/ws)?\/*$/, '')
}
