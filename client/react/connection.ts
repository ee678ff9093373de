import { type Client, connect, type ConnectOptions, type Room, type Status, type TokenProvider } from '../index.ts'
import { Store } from './store.ts'

/** How a provider's client stands. */
export interface Connection {
  readonly status: Status
  /** Undefined until the page is there: nothing connects while it is rendered on a server. */
  readonly client: Client | undefined
}

/** Before there is a client. */
export const NO_CONNECTION: Connection = Object.freeze({ status: Object.freeze({ state: 'connecting' }), client: undefined })

/** Where a provider's client comes from: it is given, and somebody else closes it; or it is made, and closed when nobody needs it any more. */
export type ConnectionSource = { client: Client } | ConnectOptions

/** A provider's client, and which of its rooms somebody is in. */
export class ConnectionStore extends Store<Connection> {
  readonly #source: ConnectionSource
  readonly #members = new Map<Room, number>()
  /** Rooms that are joined because of the components alone. */
  readonly #joined = new Set<Room>()
  #token: TokenProvider | undefined
  #client: Client | undefined
  #unlisten = (): void => {}

  constructor (source: ConnectionSource) {
    super('client' in source ? { status: source.client.status, client: source.client } : NO_CONNECTION)
    this.#source = source
    this.#token = 'client' in source ? undefined : source.token
  }

  /** The client, as soon as somebody is subscribed; a snapshot with it comes a moment later. */
  get client (): Client | undefined {
    return this.#client
  }

  /** Takes the latest token, or the latest function that gets one. It does not end the connection: the next one is made with it. */
  renew (token: TokenProvider | undefined): void {
    const isOther = token !== this.#token
    this.#token = token
    // It has been waiting for another one.
    if (isOther && typeof token === 'string' && this.#client?.status.reason === 'unauthorized') this.#client.retry()
  }

  /** Joins a room for one component; returns how it leaves. The last one leaves for all. */
  enter (room: Room): () => void {
    // Who has joined it without a component leaves it as well.
    if (!room.wanted) this.#joined.add(room)
    this.#members.set(room, (this.#members.get(room) ?? 0) + 1)
    room.join().catch(() => {}) // The room's state tells.
    return () => {
      const rest = (this.#members.get(room) ?? 1) - 1
      if (rest > 0) {
        this.#members.set(room, rest)
        return
      }
      this.#members.delete(room)
      // Another component may be about to come.
      setTimeout(() => {
        if (!this.#members.has(room) && this.#joined.delete(room)) room.leave().catch(() => {})
      })
    }
  }

  protected start (): void {
    const client = this.#client = 'client' in this.#source ? this.#source.client : connect({ ...this.#source, token: async () => await this.#askToken() })
    this.#unlisten = client.on('status', (status) => { this.update({ status }) })
    this.update({ client, status: client.status })
  }

  protected stop (): void {
    this.#unlisten()
    if (!('client' in this.#source)) this.#client?.close()
    this.#client = undefined
    this.update(NO_CONNECTION)
  }

  async #askToken (): Promise<string> {
    return typeof this.#token === 'function' ? await this.#token() : this.#token as string
  }
}
