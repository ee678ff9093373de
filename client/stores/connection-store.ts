import { type Client, connect, type ConnectOptions, RoomcastError, type Status, type TokenProvider, type TokenRequest } from '../index.ts'
import { toCause } from './cause.ts'
import { Store } from './store.ts'

/** The client of a provider, and its status. */
export interface Connection {
  /** `closed` with the error as its `cause` where the options of the client are invalid. */
  readonly status: Status
  /** Undefined until the page is mounted, because a server that renders it does not connect, and with invalid options. */
  readonly client: Client | undefined
}

/** The connection before there is a client. */
export const NO_CONNECTION: Connection = Object.freeze({ status: Object.freeze({ state: 'connecting' }), client: undefined })

/** A client that the application closes, or the options of a client that the provider makes and closes. */
export type ConnectionSource = { client: Client } | ({ client?: undefined } & ConnectOptions)

/** The connection of a provider. It is open while the store has subscribers. */
export class ConnectionStore extends Store<Connection> {
  readonly #source: ConnectionSource
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

  protected start (): void {
    try {
      const source = this.#source
      const client = this.#client = source.client ?? connect({ ...source, token: async (request) => await this.#askToken(request) })
      this.#unlisten = client.on('status', (status) => { this.update({ status }) })
      this.update({ client, status: client.status })
    } catch (error) {
      // An error in an effect would end the whole page.
      this.update({ status: { state: 'closed', cause: toCause(error) } })
    }
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
