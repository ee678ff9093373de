import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Identity } from '../auth/identity.ts'
import { RoomcastError } from '../errors.ts'
import { Connection } from '../hub/connection.ts'
import type { Hub } from '../hub/hub.ts'
import type { ServerFrames } from '../protocol/frames.ts'
import { joinedFrame, type OnJoined } from '../rooms/joined.ts'
import type { JoinOptions, Memberships } from '../rooms/membership.ts'
import type { Transport } from '../transport/transport.ts'

/** Time by which a connection outlives its token, ms. */
const EXPIRY_GRACE_MS = 10_000
/** Time until the join of an unavailable room is retried, ms. */
const RETRY_MS = 1_000

/** The parts and settings that connections are made with. */
export interface ConnectionsOptions {
  hub: Hub
  memberships: Memberships
  /** The longest life of a connection, even if its token is valid for longer, ms. */
  maxLifetimeMs: number
  /** Bytes in the send queue of one connection; 0 is no limit. */
  maxQueueBytes: number
  /** Time between heartbeats, ms; 0 for none. */
  heartbeatMs: number
  /** Receives internal errors. */
  onError: (error: unknown) => void
}

/** Opens connections over every transport: their life, their automatic rooms and their `welcome`. */
export class Connections {
  readonly #options: ConnectionsOptions
  readonly #onEnd: (connection: Connection) => void

  constructor (options: ConnectionsOptions) {
    this.#options = options
    this.#onEnd = (connection) => { options.memberships.disconnect(connection) }
  }

  /**
   * Opens a connection that is in no room yet.
   *
   * @param origin the client's own name; the connection's id, if it has none
   */
  open (transport: Transport, { user, expiresAt }: Identity, origin: string | undefined): Connection {
    const { hub, maxLifetimeMs, maxQueueBytes } = this.#options
    const id = randomUUID()
    const connection = new Connection({
      id,
      origin: origin ?? id,
      user,
      expiresAt: Math.min(expiresAt, Date.now() + maxLifetimeMs) + EXPIRY_GRACE_MS,
      transport,
      maxQueueBytes,
      onEnd: this.#onEnd
    })
    hub.add(connection)
    return connection
  }

  /**
   * Ends a connection whose socket is closed.
   *
   * @param code the close code that the client sent; undefined on event streams
   */
  closed (connection: Connection, code?: number): void {
    connection.end()
    this.#options.hub.remove(connection, code)
  }

  /**
   * Joins automatic rooms and sends the `welcome`. Rooms that are unavailable are joined later, because a client cannot ask
   * for them.
   *
   * @param names the automatic rooms that the client does not name itself
   * @param welcome whether the client wants a `welcome`
   */
  async enter (connection: Connection, identity: Identity, names: readonly string[], welcome: boolean): Promise<void> {
    const positions: ServerFrames['welcome']['rooms'] = []
    const unavailable: string[] = []
    for (const name of names) {
      const answer: OnJoined = welcome ? ({ position }) => { positions.push({ room: name, ...position }) } : ignore
      if (await this.#join(connection, identity, name, answer)) continue
      unavailable.push(name)
      positions.push({ room: name })
    }
    if (welcome) {
      connection.send({
        type: 'welcome',
        connection: connection.id,
        origin: connection.origin,
        user: connection.user,
        expiresAt: connection.expiresAt - EXPIRY_GRACE_MS,
        heartbeatMs: this.#options.heartbeatMs,
        rooms: positions
      })
    }
    const answer: OnJoined = (joined) => { if (welcome) connection.send(joinedFrame(joined)) }
    for (const name of unavailable) this.#joinLater(connection, identity, name, answer)
  }

  /** Joins a room for a client that cannot ask again: retries while the room is unavailable. */
  async joinPersistently (connection: Connection, identity: Identity, name: string, answer: OnJoined, options: JoinOptions): Promise<void> {
    const isJoined = await this.#join(connection, identity, name, answer, options)
    if (!isJoined) this.#joinLater(connection, identity, name, answer, options)
  }

  #joinLater (connection: Connection, identity: Identity, name: string, answer: OnJoined, options: JoinOptions = {}): void {
    void (async () => {
      for (let isJoined = false; !isJoined && !connection.ended;) {
        await sleep(RETRY_MS, undefined, { ref: false })
        isJoined = await this.#join(connection, identity, name, answer, options)
      }
    })().catch((error: unknown) => {
      this.#options.onError(error)
      connection.close('internal')
    })
  }

  /** Joins a room; returns false if the room is unavailable. */
  async #join (connection: Connection, identity: Identity, name: string, answer: OnJoined, options: JoinOptions = {}): Promise<boolean> {
    try {
      await this.#options.memberships.join(connection, identity, name, answer, options)
      return true
    } catch (error) {
      if (error instanceof RoomcastError && error.code === 'unavailable') return false
      throw error
    }
  }
}

function ignore (): void {}
