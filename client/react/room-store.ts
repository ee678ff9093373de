import {
  type Client, type HistoryPage, type Message, type Position, type Published, type PublishOptions, type Room, RoomcastError, type RoomState
} from '../index.ts'
import type { ConnectionStore } from './connection.ts'
import { Store } from './store.ts'

/** The wait before the retry of a history read, ms, unless the service gives one. */
const RETRY_MS = 1_000

/** The messages and the state of a room, for a component. */
export interface RoomSnapshot<Data> {
  /** The latest messages, ascending. */
  readonly messages: readonly Message<Data>[]
  readonly state: RoomState
  /**
   * Whether the messages are complete, after the connection was lost; undefined before. After a gap it is `false` until the
   * history is loaded again.
   */
  readonly recovered: boolean | undefined
  /** The error of a refused join, or of a failed history read. */
  readonly error: RoomcastError | undefined
}

/** The snapshot without a room. */
export const NO_ROOM: RoomSnapshot<never> = Object.freeze({
  messages: Object.freeze([]), state: 'idle', recovered: undefined, error: undefined
})

/** The room of a component, with the messages that it has received. */
export class RoomStore<Data> extends Store<RoomSnapshot<Data>> {
  readonly #connection: ConnectionStore
  readonly #name: string | undefined
  readonly #history: number
  readonly #limit: number
  #client: Client | undefined
  #room: Room<Data> | undefined
  #stops: (() => void)[] = []
  /** The number of history loads: an earlier load has no effect. */
  #load = 0

  constructor (connection: ConnectionStore, name: string | undefined, history: number, limit: number) {
    super(NO_ROOM)
    this.#connection = connection
    this.#name = name
    this.#history = Math.min(history, limit)
    this.#limit = limit
  }

  /** Publishes to the room. */
  readonly send = async (data: Data | Uint8Array, options?: PublishOptions): Promise<Published> => {
    if (this.#room === undefined) throw new RoomcastError('not_joined', 'The room is not joined')
    return await this.#room.publish(data as never, options as PublishOptions<never>) // The hook has the type.
  }

  protected start (): void {
    if (this.#name === undefined) return
    const name = this.#name
    this.#stops = [this.#connection.subscribe(() => { this.#follow(name) })]
    this.#follow(name)
  }

  protected stop (): void {
    this.#leave()
    for (const stop of this.#stops.splice(0)) stop()
    this.#client = undefined
  }

  /** Enters the room of the provider's current client. */
  #follow (name: string): void {
    const { client } = this.#connection
    if (client === this.#client) return
    this.#leave()
    this.#client = client
    if (client !== undefined) this.#enter(client.room(name) as Room<Data>)
  }

  #enter (room: Room<Data>): void {
    this.#room = room
    this.#stops.push(
      room.on('message', (message) => { this.update({ messages: [...this.next.messages, message].slice(-this.#limit) }) }),
      room.on('state', (state) => { this.update({ state, ...((state === 'refused' || state === 'joined') && { error: room.error }) }) }),
      room.on('joined', ({ recovered, ...position }) => {
        if (recovered === undefined) this.#beginAnew(undefined, position)
        else if (recovered && this.next.recovered === undefined) this.update({ recovered })
      }),
      room.on('reset', (position) => { this.#beginAnew(false, position) }),
      this.#connection.enter(room)
    )
    this.update({ state: room.state, error: room.error })
    // Another component has already joined the room.
    if (room.state === 'joined') this.#beginAnew(undefined, room.position)
  }

  #leave (): void {
    if (this.#room === undefined) return
    this.#room = undefined
    this.#load++
    for (const stop of this.#stops.splice(1)) stop()
    this.update(NO_ROOM)
  }

  /** Drops the messages, and loads the history up to a position; later messages arrive as usual. */
  #beginAnew (recovered: false | undefined, position: Partial<Position> = {}): void {
    const load = ++this.#load
    this.update({ messages: NO_ROOM.messages, recovered })
    const { epoch, offset } = position
    if (this.#history === 0 || epoch === undefined || offset === undefined) return
    this.#loadHistory({ epoch, offset }, () => load !== this.#load).catch((error: RoomcastError) => {
      if (load === this.#load) this.update({ error })
    })
  }

  /** Loads the history up to a position. */
  async #loadHistory ({ epoch, offset }: Position, isOver: () => boolean): Promise<void> {
    const older: Message<Data>[] = []
    for (let before: number | undefined = offset + 1; before !== undefined && older.length < this.#history;) {
      const limit = this.#history - older.length
      const page: HistoryPage<Data> | undefined = await this.#room?.history({ before, epoch, limit }).catch(orLater)
      // A new epoch has no older messages, and its `reset` follows.
      if (isOver() || (page !== undefined && page.epoch !== epoch)) return
      if (page === undefined) continue
      older.unshift(...page.messages)
      before = page.next
    }
    const { messages, recovered } = this.next
    this.update({ messages: [...older, ...messages].slice(-this.#limit), ...(recovered === false && { recovered: true }) })
  }
}

/** Waits for the retry of a retryable error; throws any other error. */
async function orLater (error: RoomcastError): Promise<undefined> {
  if (!error.retryable) throw error
  await new Promise((resolve) => { setTimeout(resolve, error.retryAfterMs ?? RETRY_MS) })
}
