import { type Client, connect, type ConnectOptions, type Room, type Status } from '../index.ts'
import { Store } from './store.ts'

/** How a provider's client stands. */
export interface Connection {
  readonly status: Status
  /** Undefined until the page is there: nothing connects while it is rendered on a server. */
  readonly client: Client | undefined
}

/** Before there is a client. */
export const NO_CONNECTION: Connection = Object.freeze({ status: Object.freeze({ state: 'connecting' }), client: undefined })

/** A provider's client, and which of its rooms somebody is in. */
export class ConnectionStore extends Store<Connection> {
  readonly #given: Client | undefined
  readonly #makeOptions: () => ConnectOptions
  readonly #members = new Map<Room, number>()
  #client: Client | undefined
  #unlisten = (): void => {}

  /** @param given somebody else's, who closes it; or one is made, and closed when nobody needs it any more */
  constructor (given: Client | undefined, makeOptions: () => ConnectOptions) {
    super(given === undefined ? NO_CONNECTION : { status: given.status, client: given })
    this.#given = given
    this.#makeOptions = makeOptions
  }

  /** Joins a room for one component; returns how it leaves. The last one leaves for all. */
  enter (room: Room): () => void {
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
      setTimeout(() => { if (!this.#members.has(room)) room.leave().catch(() => {}) })
    }
  }

  protected start (): void {
    const client = this.#client = this.#given ?? connect(this.#makeOptions())
    this.#unlisten = client.on('status', (status) => { this.update({ status }) })
    this.update({ client, status: client.status })
  }

  protected stop (): void {
    this.#unlisten()
    if (this.#given === undefined) this.#client?.close()
    this.#client = undefined
    this.update(NO_CONNECTION)
  }
}
