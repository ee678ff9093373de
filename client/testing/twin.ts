import type { CloseReason } from '../../src/protocol/close-codes.ts'
import type { Clock } from '../clock.ts'
import { RoomcastError } from '../errors.ts'
import { type Client, connect, type ConnectOptions, type Message, type Position, type WebSocketConstructor } from '../index.ts'
import { toMessage } from '../message.ts'
import { type Content, encodeContent } from '../publisher/content.ts'
import { type Duration, toMs } from './duration.ts'
import { EventLoop } from './event-loop.ts'
import { FakeClock } from './fake-clock.ts'
import { type LinkState, TwinNetwork } from './network.ts'
import { Refusal } from './refusal.ts'
import { type Action, type RequestFrame, Service } from './service.ts'

/** The settings of a twin. */
export interface TwinOptions {
  /** The number of messages that each room remembers: 1,000 by default. 0 turns history off. */
  history?: number
  /** How long a message is remembered: one hour by default, ms. */
  historyTtlMs?: number
  /** The epoch of all rooms. */
  epoch?: string
  /** Frames a second of one connection; no limit by default. */
  messageRate?: number
  /** Frames of one connection at once: 200 by default. */
  messageBurst?: number
  /** The time of day at the start, ms since 1970. */
  time?: number
}

/** The options that connect a client to a twin. */
export interface TwinConnectOptions extends ConnectOptions {
  /** The valid token of the user. */
  token: () => string
  transports: ['websocket']
  WebSocket: WebSocketConstructor
  clock: Clock
}

/** A message as a backend publishes it. */
export interface TwinPublished extends Partial<Position> {
  readonly room: string
  /** ms since 1970. */
  readonly time: number
  /** The number of connections in the room. */
  readonly audience: number
}

/** A room as the service has it. */
export interface TwinRoom extends Partial<Position> {
  readonly audience: number
  /** The remembered messages. */
  readonly messages: Message[]
}

/** Describes refusals of frames. */
export interface RefuseOptions {
  /** The number of refused frames: 1 by default. */
  times?: number
  /** The wait that the service asks for, ms. */
  retryAfterMs?: number
  /** Chooses the frames; all but pings by default. */
  match?: (frame: RequestFrame, user: string) => boolean
}

const TWIN_URL = 'http://roomcast.test'
/** The start of the time of day, ms since 1970. */
const START = 1_764_000_000_000

/**
 * An in-memory service with a simulated network and a fake clock, for the tests of an application. Time passes only in `advance` and
 * `sleep`. An asynchronous method resolves when all that it causes has happened.
 */
export class Twin {
  /** The clock of the clients. */
  readonly clock: Clock
  readonly #loop = new EventLoop()
  readonly #clock: FakeClock
  readonly #service: Service
  readonly #network: TwinNetwork
  readonly #clients = new Set<Pick<Client, 'close'>>()

  /** @internal Use `twin`. */
  constructor (options: TwinOptions = {}) {
    const { history = 1_000, historyTtlMs = 3_600_000, epoch = 'first', messageRate = 0, messageBurst = 200 } = options
    const { time = START } = options
    this.clock = this.#clock = new FakeClock(this.#loop, time)
    const limits = { messages: history, ttlMs: historyTtlMs }
    this.#service = new Service({ limits, epoch, messageRate, messageBurst, startedAt: time }, this.#clock)
    this.#network = new TwinNetwork(this.#loop, this.#clock, this.#service)
  }

  /** Connects a client of a user. `close` closes it. */
  connect<Rooms extends object = Record<string, unknown>> (user: string, options: Partial<ConnectOptions> = {}): Client<Rooms> {
    const client = connect<Rooms>({ ...this.options(user), ...options })
    this.#clients.add(client)
    return client
  }

  /** The options of `connect` or `RoomcastProvider` for a user. */
  options (user: string): TwinConnectOptions {
    const { WebSocket } = this.#network
    return { url: TWIN_URL, token: () => this.#service.token(user), transports: ['websocket'], WebSocket, clock: this.clock }
  }

  /** Ends the connections of a user, or of all, with 1006; refuses new ones until `mend`. */
  async cut (user?: string): Promise<void> {
    await this.#setNetwork('cut', user)
  }

  /** Lets nothing pass between a user, or all, and the service, and reports no end, until `mend`. The held frames pass then. */
  async silence (user?: string): Promise<void> {
    await this.#setNetwork('silent', user)
  }

  /** Ends `cut` and `silence`, for a user or for all. The clients reconnect at their next attempt. */
  async mend (user?: string): Promise<void> {
    await this.#setNetwork('good', user)
  }

  /** Drops the answers to the frames of a user until the next `cut` or `restart`. Messages pass. */
  loseAnswers (user: string): void {
    this.#network.loseAnswers(user)
  }

  /**
   * Restarts the service: it sends `shutdown`, closes all connections with 1001, and accepts new ones at once.
   *
   * @param options.epoch forgets all rooms; they begin again in this epoch
   * @param options.retryAfterMs the wait that the service asks for: 1,000 by default, ms
   */
  async restart ({ epoch, retryAfterMs = 1_000 }: { epoch?: string, retryAfterMs?: number } = {}): Promise<void> {
    await this.#loop.idle()
    this.#network.forgetLosses(undefined)
    for (const connection of this.#service.connections) connection.shutDown(retryAfterMs)
    this.#service.restart(epoch)
    await this.#loop.rest()
  }

  /** Closes the connections of a user for one of the reasons of docs/errors.md, such as `removed` or `slowConsumer`. */
  async end (user: string, reason: CloseReason): Promise<void> {
    for (const connection of this.#service.connections) if (connection.user === user) connection.close(reason)
    await this.#loop.rest()
  }

  /** Ends the token of a user: its connections are closed with 4001, and only the next token is accepted. */
  async expire (user: string): Promise<void> {
    this.#service.expire(user)
    await this.end(user, 'unauthorized')
  }

  /** Moves the clock, calls the timers that are due in order, and lets promises settle between them. */
  async advance (duration: Duration): Promise<void> {
    await this.#clock.advance(toMs(duration))
  }

  /** Lets all that is due now happen. */
  async settle (): Promise<void> {
    await this.#clock.advance(0)
  }

  /** Puts the machines of the clients to sleep: the time of day moves on, and their timers stand still. Connections stay. */
  async sleep (duration: Duration): Promise<void> {
    this.#clock.sleep(toMs(duration))
    await this.#loop.rest()
  }

  /** Changes the time of day of the clients, either way. */
  async setClock (duration: Duration): Promise<void> {
    this.#clock.jump(toMs(duration))
    await this.#loop.rest()
  }

  /** Publishes as a backend does. Rejects with a `RoomcastError` for an invalid room or content. */
  async publish (
    room: string,
    content: Content,
    { from = 'server', event, exclude, key }: { from?: string, event?: string, exclude?: string, key?: string } = {}
  ): Promise<TwinPublished> {
    const { fields, bytes, event: name } = encodeContent({ ...content, ...(event !== undefined && { event }) })
    const members: { text?: string, data?: unknown } = fields === '' ? {} : JSON.parse(`{${fields}}`)
    try {
      const encoded = { ...members, ...(bytes !== undefined && { bytes }), ...(name !== undefined && { event: name }) }
      const { stored: { frame: { offset, time } }, epoch, audience } = this.#service.publish(room, from, encoded, { key, exclude })
      await this.#loop.rest()
      return { room, ...(offset !== undefined && { epoch, offset }), time, audience }
    } catch (error) {
      throw error instanceof Refusal ? new RoomcastError(error.code, error.message) : error
    }
  }

  /** Describes a room. */
  room (name: string): TwinRoom {
    const { history, members } = this.#service.room(name)
    const messages = history.messages(this.#service.time).map(({ frame, bytes }) => toMessage(frame, history.epoch, bytes))
    return { ...history.position, audience: members.size, messages }
  }

  /** Ends the memberships of a user in a room, with the frame `left`. */
  async remove (user: string, room: string): Promise<void> {
    const entry = this.#service.room(room)
    for (const connection of this.#service.connections) if (connection.user === user) connection.remove(entry)
    await this.#loop.rest()
  }

  /** Makes the members of a room miss messages, with the frame `reset`. With an epoch, the room begins again in it. */
  async reset (room: string, { epoch }: { epoch?: string } = {}): Promise<void> {
    this.#service.reset(room, epoch)
    await this.#loop.rest()
  }

  /** Refuses an action to a user from now on, with the error `forbidden`. */
  forbid (user: string, action: Action, room: string): void {
    this.#service.forbid(user, action, room)
  }

  /** Refuses the next frames with an error frame of this code, such as `unavailable` or `rate_limited`. They have no effect. */
  refuse (code: string, { times = 1, retryAfterMs, match = ({ type }) => type !== 'ping' }: RefuseOptions = {}): void {
    this.#service.faults.push({ code, times, retryAfterMs, match })
  }

  /** Closes the clients of `connect`, ends all other connections, and accepts none any more. */
  async close (): Promise<void> {
    for (const client of this.#clients) client.close()
    await this.#setNetwork('cut', undefined)
    this.#clock.clear()
  }

  async #setNetwork (state: LinkState, user: string | undefined): Promise<void> {
    await this.#loop.idle() // The frames under way keep their order.
    this.#network.set(state, user)
    await this.#loop.rest()
  }
}
