import { type Client, type HistoryPage, type Message, type Position, type PublishOptions, type Published, type Room, RoomcastError, type RoomState } from '../index.ts'
import type { ConnectionStore } from './connection.ts'
import { Store } from './store.ts'

/** History that could not be read for the time being is asked for again after this long, ms, unless the service says when. */
const RETRY_MS = 1_000

/** A room, as a component sees it. */
export interface RoomSnapshot<Data> {
  /** The latest ones, ascending. */
  readonly messages: readonly Message<Data>[]
  readonly state: RoomState
  /**
   * Undefined until the connection was lost for the first time; from then on, whether nothing is missing. `false` until history
   * was loaded anew, if it is.
   */
  readonly recovered: boolean | undefined
  /** Why the room was refused, or its history could not be loaded. */
  readonly error: RoomcastError | undefined
}

/** Before anything has happened. */
export const NO_ROOM: RoomSnapshot<never> = Object.freeze({ messages: Object.freeze([]) as never, state: 'idle', recovered: undefined, error: undefined })

/** A room that a component is in, and the messages it has seen there. */
export class RoomStore<Data> extends Store<RoomSnapshot<Data>> {
  readonly #connection: ConnectionStore
  readonly #name: string | undefined
  readonly #history: number
  readonly #limit: number
  #client: Client | undefined
  #room: Room<Data> | undefined
  #stops: (() => void)[] = []
  /** Counts the loads of history: only the latest is of use. */
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
    return await this.#room.publish(data, options)
  }

  protected start (): void {
    if (this.#name === undefined) return
    const unsubscribe = this.#connection.subscribe(() => { this.#follow() })
    this.#stops = [unsubscribe]
    this.#follow()
  }

  protected stop (): void {
    this.#leave()
    for (const stop of this.#stops.splice(0)) stop()
    this.#client = undefined
  }

  /** The provider has another client: the room is one of that. */
  #follow (): void {
    const { client } = this.#connection
    if (client === this.#client) return
    this.#leave()
    this.#client = client
    if (client !== undefined) this.#enter(client.room(this.#name as string) as Room<Data>)
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
      this.#connection.enter(room as Room)
    )
    this.update({ state: room.state, error: room.error })
    // Another component has joined it before.
    if (room.state === 'joined') this.#beginAnew(undefined, room.position)
  }

  #leave (): void {
    if (this.#room === undefined) return
    this.#room = undefined
    this.#load++
    for (const stop of this.#stops.splice(1)) stop()
    this.update(NO_ROOM)
  }

  /** What was here does not go on: only what comes after a position does, and by itself. */
  #beginAnew (recovered: false | undefined, position: Partial<Position> = {}): void {
    const load = ++this.#load
    this.update({ messages: NO_ROOM.messages, recovered })
    const { epoch, offset } = position
    if (this.#history === 0 || epoch === undefined || offset === undefined) return
    this.#loadHistory({ epoch, offset }, () => load !== this.#load).catch((error: RoomcastError) => {
      if (load === this.#load) this.update({ error })
    })
  }

  /** Loads what was there up to a position. */
  async #loadHistory ({ epoch, offset }: Position, isOver: () => boolean): Promise<void> {
    const older: Message<Data>[] = []
    for (let before: number | undefined = offset + 1; before !== undefined && older.length < this.#history;) {
      const page: HistoryPage<Data> | undefined = await this.#room?.history({ before, epoch, limit: this.#history - older.length }).catch(orLater)
      // Of another epoch there is nothing: `reset` is on its way.
      if (isOver() || (page !== undefined && page.epoch !== epoch)) return
      if (page === undefined) continue
      older.unshift(...page.messages)
      before = page.next
    }
    const { messages, recovered } = this.next
    this.update({ messages: [...older, ...messages].slice(-this.#limit), ...(recovered === false && { recovered: true }) })
  }
}

/** Waits where the same may succeed later. */
async function orLater (error: RoomcastError): Promise<undefined> {
  if (!error.retryable) throw error
  await new Promise((resolve) => { setTimeout(resolve, error.retryAfterMs ?? RETRY_MS) })
}
