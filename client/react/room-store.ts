import { type Client, type Message, type PublishOptions, type Published, type Room, RoomcastError, type RoomState } from '../index.ts'
import type { ConnectionStore } from './connection.ts'
import { Store } from './store.ts'

/** A room, as a component sees it. */
export interface RoomSnapshot<Data> {
  /** The latest ones, ascending. */
  readonly messages: readonly Message<Data>[]
  readonly state: RoomState
  /** Undefined until the connection was lost for the first time; from then on, whether nothing is missing. */
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
    this.#history = history
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
    const { client } = this.#connection.getSnapshot()
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
      room.on('joined', ({ offset, recovered }) => {
        if (recovered === undefined) this.#loadHistory(offset)
        else this.update({ recovered })
      }),
      room.on('reset', ({ offset }) => {
        this.update({ messages: [], recovered: false })
        this.#loadHistory(offset)
      }),
      this.#connection.enter(room as Room)
    )
    this.update({ state: room.state, error: room.error })
    // Another component has joined it before.
    if (room.state === 'joined') this.#loadHistory(room.position?.offset)
  }

  #leave (): void {
    if (this.#room === undefined) return
    this.#room = undefined
    this.#load++
    for (const stop of this.#stops.splice(1)) stop()
    this.update(NO_ROOM)
  }

  /** Loads what was there before: up to an offset, behind which everything comes by itself. */
  #loadHistory (offset: number | undefined): void {
    const load = ++this.#load
    if (this.#history === 0 || offset === undefined) return
    this.#room?.history({ before: offset + 1, limit: this.#history }).then(({ messages }) => {
      if (load !== this.#load) return
      const { recovered } = this.next
      this.update({ messages: [...messages, ...this.next.messages].slice(-this.#limit), ...(recovered === false && { recovered: true }) })
    }, (error: RoomcastError) => {
      if (load === this.#load) this.update({ error })
    })
  }
}
