import { type Client, type HistoryPage, type Message, type Position, type Room, RoomcastError, type RoomState } from '../index.ts'
import type { ClientSource } from './client-source.ts'
import { toCount } from './count.ts'
import { Store } from './store.ts'

/** The wait before a failed history read is repeated, ms. */
const RETRY_MS = 1_000
/** The largest number of messages that a history read asks for. The service may answer with fewer. */
const MAX_PAGE = 1_000

/** The options of a room's store. */
export interface RoomOptions {
  /** The number of earlier messages to load, at most `limit`; 0 by default. Needs the grant `history`. */
  history?: number | undefined
  /** The number of messages to keep, besides those that `loadOlder` loads; 200 by default. */
  limit?: number | undefined
}

/** The messages and the state of a room. */
export interface RoomSnapshot<Data> {
  /** The latest messages, ascending. */
  readonly messages: readonly Message<Data>[]
  readonly state: RoomState
  /**
   * Whether the messages are complete, after the connection was lost; undefined before. After a gap it is `false` until the
   * history is loaded again.
   */
  readonly recovered: boolean | undefined
  /** Whether `loadOlder` may find older messages. */
  readonly hasOlder: boolean
  /** The error of a refused join, or of a failed read of the option `history`. */
  readonly error: RoomcastError | undefined
}

/** A room's functions. */
export interface RoomActions<Data> {
  /** Publishes to the room. Rejects with a `RoomcastError`: `not_joined` before the room is joined for the first time. */
  readonly send: Room<Data>['publish']
  /**
   * Loads the messages before the oldest one and adds them to `messages`, beyond `limit`: as many as the option `history` says,
   * or a page of the service. Resolves whether there may be more. Concurrent calls share one read. A read has no effect after a
   * gap, and in another room. Rejects with a `RoomcastError`: `forbidden` without the grant `history`.
   */
  readonly loadOlder: () => Promise<boolean>
}

/** The snapshot without a room. */
export const NO_ROOM: RoomSnapshot<never> = Object.freeze({
  messages: Object.freeze([]), state: 'idle', recovered: undefined, hasOlder: false, error: undefined
})

/** A room with the messages that it has received. The client is a member while the store has subscribers. */
export class RoomStore<Data> extends Store<RoomSnapshot<Data>> implements RoomActions<Data> {
  readonly #source: ClientSource
  readonly #name: string | undefined
  readonly #history: number
  readonly #limit: number
  #client: Client | undefined
  #room: Room<Data> | undefined
  #stops: (() => void)[] = []
  /** The position that the room was joined at; undefined in rooms without history. */
  #start: Position | undefined
  /** The number of messages to keep: more than the limit after `loadOlder`, and all during it. */
  #kept: number
  /** The number of times that the messages began anew: an earlier load has no effect. */
  #turn = 0
  /** The load of the option `history`. */
  #latest: Promise<void> | undefined
  #older: Promise<boolean> | undefined

  constructor (source: ClientSource, name: string | null | undefined, { history = 0, limit = 200 }: RoomOptions = {}) {
    super(NO_ROOM)
    this.#source = source
    this.#name = name ?? undefined
    this.#limit = this.#kept = toCount(limit)
    this.#history = Math.min(toCount(history), this.#limit)
  }

  readonly send: Room<Data>['publish'] = async (data, options) => {
    if (this.#room === undefined) throw new RoomcastError('not_joined', 'The room is not joined')
    return await this.#room.publish(data, options)
  }

  readonly loadOlder = async (): Promise<boolean> => {
    const older = this.#older ??= this.#loadOlder(this.#turn)
    try {
      return await older
    } finally {
      if (this.#older === older) this.#older = undefined
    }
  }

  protected start (): void {
    if (this.#name === undefined) return
    const name = this.#name
    this.#stops = [this.#source.subscribe(() => { this.#follow(name) })]
    this.#follow(name)
  }

  protected stop (): void {
    this.#leave()
    for (const stop of this.#stops.splice(0)) stop()
    this.#client = undefined
  }

  /** Enters the room of the current client. */
  #follow (name: string): void {
    const { client } = this.#source
    if (client === this.#client) return
    this.#leave()
    this.#client = client
    if (client !== undefined) this.#enter(client.room(name) as Room<Data>)
  }

  #enter (room: Room<Data>): void {
    this.#room = room
    this.#stops.push(
      room.on('message', (message) => { this.#add(message) }),
      room.on('state', (state) => { this.update({ state, ...((state === 'refused' || state === 'joined') && { error: room.error }) }) }),
      room.on('joined', ({ recovered, ...position }) => {
        if (recovered === undefined) this.#beginAnew(undefined, position)
        else if (recovered && this.next.recovered === undefined) this.update({ recovered })
      }),
      room.on('reset', (position) => { this.#beginAnew(false, position) }),
      room.hold()
    )
    this.update({ state: room.state, error: room.error })
    // The client is a member already.
    if (room.state === 'joined') this.#beginAnew(undefined, room.position)
  }

  #leave (): void {
    if (this.#room === undefined) return
    this.#room = undefined
    this.#forget(undefined)
    for (const stop of this.#stops.splice(1)) stop()
    this.update(NO_ROOM)
  }

  #add (message: Message<Data>): void {
    if (this.#kept === 0) return // `slice(-0)` is the whole list.
    const all = [...this.next.messages, message]
    const messages = all.slice(-this.#kept)
    const isCut = messages.length < all.length && this.#start !== undefined
    this.update({ messages, ...(isCut && { hasOlder: true }) })
  }

  /** Ends the effect of all loads. */
  #forget (start: Position | undefined): void {
    this.#turn++
    this.#start = start
    this.#kept = this.#limit
    this.#latest = this.#older = undefined
  }

  /** Drops the messages, and loads the history up to a position; later messages arrive as usual. */
  #beginAnew (recovered: false | undefined, { epoch, offset }: Partial<Position> = {}): void {
    const start = epoch === undefined || offset === undefined ? undefined : { epoch, offset }
    this.#forget(start)
    this.update({ messages: NO_ROOM.messages, recovered, hasOlder: this.#limit > 0 && start !== undefined && start.offset > 0 })
    if (this.#history === 0 || start === undefined) return
    const turn = this.#turn
    this.#latest = this.#loadLatest(start, turn).catch((error: RoomcastError) => {
      if (turn === this.#turn) this.update({ error })
    })
  }

  /** Loads the history up to a position. */
  async #loadLatest ({ epoch, offset }: Position, turn: number): Promise<void> {
    const older: Message<Data>[] = []
    let before: number | undefined = offset + 1
    while (before !== undefined && older.length < this.#history) {
      const limit = Math.min(this.#history - older.length, MAX_PAGE)
      const page: HistoryPage<Data> | undefined = await this.#room?.history({ before, epoch, limit }).catch(orLater)
      // A new epoch has no older messages, and its `reset` follows.
      if (turn !== this.#turn || (page !== undefined && page.epoch !== epoch)) return
      if (page === undefined) continue
      older.unshift(...page.messages)
      before = page.next
    }
    const all = [...older, ...this.next.messages]
    const messages = all.slice(-this.#kept)
    const hasOlder = before !== undefined || messages.length < all.length
    this.update({ messages, hasOlder, ...(this.next.recovered === false && { recovered: true }) })
  }

  async #loadOlder (turn: number): Promise<boolean> {
    await this.#latest
    if (turn !== this.#turn || !this.next.hasOlder || this.#start === undefined || this.#room === undefined) return this.next.hasOlder
    const { epoch, offset } = this.#start
    const before = this.next.messages[0]?.offset ?? offset + 1
    const size = this.#history > 0 ? { limit: Math.min(this.#history, MAX_PAGE) } : {}
    const kept = this.#kept
    this.#kept = Infinity // A message that left the list now would leave a gap.
    const page = await this.#room.history({ before, epoch, ...size }).catch((error: unknown) => {
      if (turn !== this.#turn) return undefined
      this.#kept = kept
      throw error
    })
    if (turn !== this.#turn || page === undefined) return this.next.hasOlder
    // After a page of another epoch, a `reset` follows.
    const isSame = page.epoch === epoch
    const messages = isSame ? [...page.messages, ...this.next.messages] : this.next.messages
    this.#kept = Math.max(this.#limit, messages.length)
    this.update({ messages, hasOlder: isSame && page.next !== undefined })
    return this.next.hasOlder
  }
}

/** Waits before the read is repeated after a retryable error; throws any other error. The client itself repeats a refused read. */
async function orLater (error: RoomcastError): Promise<undefined> {
  if (!error.retryable) throw error
  await new Promise((resolve) => { setTimeout(resolve, RETRY_MS) })
}
