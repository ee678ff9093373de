import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from './config.ts'
import { RoomcastError } from './errors.ts'
import { Connection } from './hub/connection.ts'
import type { ServerFrames } from './protocol/frames.ts'
import { ALL_ROOM, USER_ALIAS } from './protocol/names.ts'
import type { Identity } from './rooms/identity.ts'
import type { JoinOptions, Joined, Rooms } from './rooms/rooms.ts'
import type { Transport } from './transport/transport.ts'

/** A connection outlives its token by this much, ms. */
const EXPIRY_GRACE_MS = 10_000
/** Until rooms that could not be joined are tried again, ms. */
const RETRY_MS = 1_000

/** What every connection is in by itself. */
export const AUTOMATIC_ROOMS: readonly string[] = [USER_ALIAS, ALL_ROOM]

export interface EntranceOptions {
  config: Config
  rooms: Rooms
  /** Told what is our fault. */
  onError: (error: unknown) => void
}

/** The way in of every connection, whatever its transport: what it is, its automatic rooms, and its welcome. */
export class Entrance {
  readonly #config: Config
  readonly #rooms: Rooms
  readonly #onError: (error: unknown) => void
  readonly #onEnd: (connection: Connection) => void

  constructor ({ config, rooms, onError }: EntranceOptions) {
    this.#config = config
    this.#rooms = rooms
    this.#onError = onError
    this.#onEnd = (connection) => { rooms.disconnect(connection) }
  }

  /** A connection that is in no room yet. */
  open (identity: Identity, origin: string | undefined, transport: Transport): Connection {
    const id = randomUUID()
    return new Connection({
      id,
      origin: origin ?? id,
      user: identity.user,
      expiresAt: Math.min(identity.expiresAt, Date.now() + this.#config.MAX_TOKEN_LIFETIME_SECONDS * 1_000) + EXPIRY_GRACE_MS,
      transport,
      maxQueueBytes: this.#config.MAX_QUEUE_BYTES,
      onEnd: this.#onEnd
    })
  }

  /**
   * Joins automatic rooms, and says welcome to who wants it. Rooms that cannot be reached are tried again in the
   * background, for nobody can ask for them.
   *
   * @param names the automatic rooms that the connection does not join by name
   */
  async enter (connection: Connection, identity: Identity, names: readonly string[], welcome: boolean): Promise<void> {
    const standing: ServerFrames['welcome']['rooms'] = []
    const missing: string[] = []
    for (const name of names) {
      const answer = welcome ? ({ position }: Joined): void => { standing.push({ room: name, ...position }) } : ignore
      if (await this.#join(connection, identity, name, answer)) continue
      missing.push(name)
      standing.push({ room: name })
    }
    if (welcome) {
      connection.send({
        type: 'welcome',
        connection: connection.id,
        origin: connection.origin,
        user: connection.user,
        expiresAt: connection.expiresAt - EXPIRY_GRACE_MS,
        heartbeatMs: this.#config.HEARTBEAT_SECONDS * 1_000,
        rooms: standing
      })
    }
    for (const name of missing) {
      this.joinLater(connection, identity, name, ({ room, position, audience }) => {
        if (welcome) connection.send({ type: 'joined', room, ...position, audience })
      })
    }
  }

  /** Joins a room for a connection that cannot ask again: while it cannot be reached, it is tried until it can. */
  async joinForSure (connection: Connection, identity: Identity, name: string, answer: (joined: Joined) => void, options: JoinOptions): Promise<void> {
    const joined = await this.#join(connection, identity, name, answer, options)
    if (!joined) this.joinLater(connection, identity, name, answer, options)
  }

  joinLater (connection: Connection, identity: Identity, name: string, answer: (joined: Joined) => void, options: JoinOptions = {}): void {
    void (async () => {
      for (let joined = false; !joined && !connection.ended;) {
        await sleep(RETRY_MS, undefined, { ref: false })
        joined = await this.#join(connection, identity, name, answer, options)
      }
    })().catch((error: unknown) => {
      this.#onError(error)
      connection.close('internal')
    })
  }

  /** Says whether the room could be reached. */
  async #join (connection: Connection, identity: Identity, name: string, answer: (joined: Joined) => void, options: JoinOptions = {}): Promise<boolean> {
    try {
      await this.#rooms.join(connection, identity, name, answer, options)
      return true
    } catch (error) {
      if (error instanceof RoomcastError && error.code === 'unavailable') return false
      throw error
    }
  }
}

function ignore (): void {}
