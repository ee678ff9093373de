import type { Writable } from 'node:stream'
import { type AllowedOrigins, isOriginAllowed } from '../auth/origins.ts'
import { goingDown, RoomcastError } from '../errors.ts'
import type { Connection } from '../hub/connection.ts'
import type { Hub } from '../hub/hub.ts'
import { type Addressed, addressKey } from './address-key.ts'

/** The wait of a client that was refused because a limit is reached, ms. */
const FULL_RETRY_MS = 5_000

/** A client that asks for a connection. */
export interface Client extends Addressed {
  readonly headers: { readonly origin?: string | undefined }
}

/** The owner of a new connection. */
export interface Owner {
  readonly user: string
  /** The client's own name across its connections. */
  readonly origin: string | undefined
}

/** Counts a new connection of an address; resolves with the wait, ms, if the address is above its rate. */
export type CountConnection = (client: Client) => Promise<number | undefined>

/** Settings of the limits; 0 is no limit. */
export interface LimitsOptions {
  hub: Hub
  allowedOrigins: AllowedOrigins
  maxConnections: number
  maxConnectionsPerUser: number
  maxConnectionsPerAddress: number
  /** Undefined without a rate of new connections. */
  countConnection: CountConnection | undefined
  /** Whether new connections are refused, for a graceful shutdown. */
  isDraining: () => boolean
}

/** Decides whether a connection may be opened: for WebSockets and event streams alike. Methods throw `RoomcastError`. */
export class Limits {
  readonly #options: LimitsOptions
  readonly #addresses = new Map<string, number>()

  constructor (options: LimitsOptions) {
    this.#options = options
  }

  /** Checks the rate of new connections from an address. */
  async checkRate (client: Client): Promise<void> {
    const retryAfterMs = await this.#options.countConnection?.(client)
    if (retryAfterMs !== undefined) throw new RoomcastError('rate_limited', 'Too many new connections from this address', retryAfterMs)
  }

  /**
   * Checks a request for a connection, and counts it for its address.
   *
   * @param stream closes with the connection
   * @param owner if it is known by now: a WebSocket authenticates later, and `recheck` follows
   */
  check (client: Client, stream: Writable, owner?: Owner): void {
    this.#checkDraining()
    this.#checkOrigin(client)
    this.#checkCapacity()
    const replaced = owner && this.#checkUser(owner)
    this.#countAddress(client, stream)
    if (replaced !== undefined) this.#replace(replaced)
  }

  /**
   * Checks the limits that may have been reached meanwhile: hooks of the application run between a request for a WebSocket
   * and the 101, and may take their time.
   */
  recheck (owner: Owner): void {
    this.#checkDraining()
    this.#checkCapacity()
    const replaced = this.#checkUser(owner)
    if (replaced !== undefined) this.#replace(replaced)
  }

  #checkDraining (): void {
    if (this.#options.isDraining()) throw goingDown()
  }

  #checkOrigin ({ headers: { origin } }: Client): void {
    if (origin !== undefined && !isOriginAllowed(this.#options.allowedOrigins, origin)) throw new RoomcastError('origin_forbidden')
  }

  #checkCapacity (): void {
    const { hub, maxConnections } = this.#options
    if (maxConnections > 0 && hub.connections.size >= maxConnections) {
      throw new RoomcastError('overloaded', 'This instance takes no more connections', FULL_RETRY_MS)
    }
  }

  /**
   * Checks the limit of a user. At the limit, a client may still replace its older connection: after a change of network
   * that connection is dead, and the service does not know it yet.
   *
   * @returns the connection to replace
   */
  #checkUser ({ user, origin }: Owner): Connection | undefined {
    const { hub, maxConnectionsPerUser: limit } = this.#options
    if (limit === 0 || hub.connectionsOf(user) < limit) return undefined
    const own = origin === undefined ? undefined : hub.oldestOf(user, origin)
    if (own === undefined) throw new RoomcastError('connection_limit', 'Too many connections of this user', FULL_RETRY_MS)
    return own
  }

  /** Closes a connection whose client has a new one, and destroys it: a dead connection would not answer the close. */
  #replace (connection: Connection): void {
    this.#options.hub.release(connection)
    connection.close('removed')
    setImmediate(() => { connection.terminate() }) // The last event of an event stream is written at the end of this turn.
  }

  #countAddress (client: Client, stream: Writable): void {
    const { maxConnectionsPerAddress: limit } = this.#options
    if (limit === 0) return
    const address = addressKey(client)
    const count = this.#addresses.get(address) ?? 0
    if (count >= limit) throw new RoomcastError('connection_limit', 'Too many connections from this address', FULL_RETRY_MS)
    this.#addresses.set(address, count + 1)
    stream.once('close', () => {
      const rest = (this.#addresses.get(address) ?? 1) - 1
      if (rest === 0) this.#addresses.delete(address)
      else this.#addresses.set(address, rest)
    })
  }
}
