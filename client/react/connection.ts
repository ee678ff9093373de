import {
  type Client, connect, type ConnectOptions, type Room, RoomcastError, type Status, type TokenProvider, type TokenRequest
} from '../index.ts'
import { Store } from './store.ts'

/** The client of a provider, and its status. */
export interface Connection {
  readonly status: Status
  /** Undefined until the page is mounted: a server that renders it does not connect. */
  readonly client: Client | undefined
}

/** The connection before there is a client. */
export const NO_CONNECTION: Connection = Object.freeze({ status: Object.freeze({ state: 'connecting' }), client: undefined })

/** A client that the application closes, or the options of a client that the provider makes and closes. */
export type ConnectionSource = { client: Client } | ({ client?: undefined } & ConnectOptions)

/** The parts of a room that concern membership, whatever its payloads are. */
type Joinable = Pick<Room, 'wanted' | 'join' | 'leave'>

/** The client of a provider, and the rooms that its components use. */
export class ConnectionStore extends Store<Connection> {
  readonly #source: ConnectionSource
  /** The number of components in each room. */
  readonly #members = new Map<Joinable, number>()
  /** The rooms that only components have joined. */
  readonly #joined = new Set<Joinable>()
  #token: TokenProvider | undefined
  #client: Client | undefined
  #unlisten = (): void => {}

  constructor (source: ConnectionSource) {
    super(source.client === undefined ? NO_CONNECTION : { status: source.client.status, client: source.client })
    this.#source = source
    this.#token = source.client === undefined ? source.token : undefined
  }

  /** The client, from the first subscription on; its snapshot follows a moment later. */
  get client (): Client | undefined {
    return this.#client
  }

  /** Takes the latest token or token function. The current connection stays; the next one uses it. */
  renew (token: TokenProvider | undefined): void {
    const isOther = token !== this.#token
    this.#token = token
    // The client waits for another token.
    if (isOther && typeof token === 'string' && this.#client?.status.reason === 'unauthorized') this.#client.retry()
  }

  /** Joins a room for one component; returns the function that leaves it. The last component leaves for all. */
  enter (room: Joinable): () => void {
    // A room that the application joined stays joined until the application leaves it.
    if (!room.wanted) this.#joined.add(room)
    this.#members.set(room, (this.#members.get(room) ?? 0) + 1)
    room.join().catch(() => {}) // The state of the room has the error.
    return () => {
      const rest = (this.#members.get(room) ?? 1) - 1
      if (rest > 0) {
        this.#members.set(room, rest)
        return
      }
      this.#members.delete(room)
      // Another component may enter in the same turn.
      setTimeout(() => {
        if (!this.#members.has(room) && this.#joined.delete(room)) room.leave().catch(() => {})
      })
    }
  }

  protected start (): void {
    const source = this.#source
    const client = this.#client = source.client ?? connect({ ...source, token: async (request) => await this.#askToken(request) })
    this.#unlisten = client.on('status', (status) => { this.update({ status }) })
    this.update({ client, status: client.status })
  }

  protected stop (): void {
    this.#unlisten()
    if (this.#source.client === undefined) this.#client?.close()
    this.#client = undefined
    this.update(NO_CONNECTION)
  }

  async #askToken (request: TokenRequest): Promise<string> {
    const token = this.#token
    if (token === undefined) throw new RoomcastError('unauthorized', 'There is no token')
    return typeof token === 'function' ? await token(request) : token
  }
}
