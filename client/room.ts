import type { ServerFrames } from '../src/protocol/frames.ts'
import { decodeBase64 } from './base64.ts'
import { Emitter } from './emitter.ts'
import { closed, RoomcastError } from './errors.ts'
import type { Published } from './outbox.ts'

/** A join that could not be made for the time being is tried again after this long, ms, unless the service says when. */
const RETRY_MS = 1_000
/** What an iteration may be behind, messages. */
const MAX_BEHIND = 10_000

/** A place in a room's order (docs/protocol.md, "Coming back"). */
export interface Position {
  readonly epoch: string
  readonly offset: number
}

/** A message. Exactly one of `data`, `text` and `bytes` is there, as its publisher chose. */
export interface Message<Data = unknown> {
  readonly room: string
  /** Absent in rooms without history, as is `offset`. */
  readonly epoch?: string
  readonly offset?: number
  /** Who published it: the `sub` of their token. */
  readonly from: string
  /** ms since 1970, by the service's clock. */
  readonly time: number
  readonly event?: string
  readonly data: Data
  readonly text?: string
  readonly bytes?: Uint8Array
}

/** The room was joined, for the first time or again. */
export interface Joined extends Partial<Position> {
  readonly room: string
  /** Connections in the room. */
  readonly audience: number
  /** When it was joined again: whether nothing was missed, or all of it follows. If not, `reset` follows. */
  readonly recovered?: boolean
  /** How many messages follow that were missed. */
  readonly missed?: number
}

/** Messages may be missing: load your state anew. What follows is newer than `offset`. */
export interface Reset extends Partial<Position> {
  readonly room: string
  /** `epoch`: the room began again. `history`: more was missed than the service still has, or has at all. */
  readonly reason: 'epoch' | 'history'
}

/** Somebody else came or went; in rooms of more than 100, how many are there. */
export interface Presence {
  readonly room: string
  readonly event: 'joined' | 'left' | 'members'
  readonly user?: string
  readonly count?: number
  readonly text: string
}

/** A part of a room's history, ascending. */
export interface HistoryPage<Data = unknown> extends Partial<Position> {
  readonly room: string
  /** Whether nothing is missing from what was asked for. */
  readonly recovered: boolean
  readonly messages: Message<Data>[]
  /** `after` of the next page; `before`, going back. */
  readonly next?: number
}

/** Which messages; offsets are exclusive. Without any, the latest. */
export interface HistoryOptions {
  after?: number
  before?: number
  /** That the offsets belong to. */
  epoch?: string
  limit?: number
}

export interface PublishOptions {
  /** The message's name for what happened. */
  event?: string
  /** `false` leaves out this client. */
  echo?: boolean
  /** Another publish with the same key is not another message; one is made up if not given. */
  key?: string
}

/** `refused`: the service said no; `error` is why. */
export type RoomState = 'idle' | 'joining' | 'joined' | 'refused'

/** What a room tells. */
export interface RoomEvents<Data> {
  message: Message<Data>
  joined: Joined
  reset: Reset
  /** The service ended the membership. */
  left: { readonly room: string, readonly reason?: 'removed' | 'forbidden' }
  system: Presence
  state: RoomState
}

/** What a room needs of its client. */
export interface RoomPort {
  readonly closed: boolean
  sendJoin: (room: string, since: Position | undefined) => number
  sendLeave: (room: string) => void
  publish: (room: string, content: { data?: unknown, bytes?: Uint8Array }, options: PublishOptions) => Promise<Published>
  history: (room: string, options: HistoryOptions) => Promise<ServerFrames['history']>
  onJoined: () => void
  onRefused: (room: string, error: RoomcastError) => void
}

/**
 * A room, as this client knows it. Once joined it is joined again on every new connection, from where it was: each message
 * comes exactly once and in order, or `reset` says that this cannot be.
 */
export class Room<Data = unknown> {
  readonly name: string
  readonly #port: RoomPort
  readonly #emitter = new Emitter<RoomEvents<Data>>()
  #state: RoomState = 'idle'
  #error: RoomcastError | undefined
  #position: Position | undefined
  /** It was joined before: from here on a join is one that comes back. */
  #known = false
  #joined: Joined | undefined
  #waiting: { resolve: (joined: Joined) => void, reject: (error: RoomcastError) => void }[] = []
  /** Of the join that was sent last. */
  #joinId: number | undefined
  #retry: ReturnType<typeof setTimeout> | undefined

  /** @internal */
  constructor (name: string, port: RoomPort) {
    this.name = name
    this.#port = port
  }

  get state (): RoomState {
    return this.#state
  }

  /** Why it was refused. */
  get error (): RoomcastError | undefined {
    return this.#error
  }

  /** Of the latest message; undefined before it was joined, and in rooms without history. */
  get position (): Position | undefined {
    return this.#position
  }

  /** Whether it is to be joined on every connection. */
  get wanted (): boolean {
    return this.#state === 'joining' || this.#state === 'joined'
  }

  /**
   * Joins the room and stays in it over all connections until `leave`. Resolves when it is joined; rejects when it is
   * refused.
   *
   * @param options.since from where on its messages are wanted: what a page was rendered with
   */
  async join ({ since }: { since?: Position } = {}): Promise<Joined> {
    if (this.#port.closed) throw closed()
    if (this.#state === 'joined') return this.#joined as Joined
    const answer = new Promise<Joined>((resolve, reject) => { this.#waiting.push({ resolve, reject }) })
    if (this.#state !== 'joining') {
      this.#position = since
      this.#known = since !== undefined
      this.rejoin()
      this.#setState('joining')
    }
    return await answer
  }

  /** Leaves the room: nothing of it comes any more, and what was to be published in it is given up. */
  async leave (): Promise<void> {
    if (!this.wanted) return
    this.#settle(new RoomcastError('not_joined', `${this.name} was left`))
    this.#port.sendLeave(this.name)
    this.#forget('idle')
  }

  /**
   * Publishes to the room, which has to be joined or about to be. Made while there is no connection, it waits for one. Resolves
   * with where the message is in the room; rejects with a `RoomcastError`.
   */
  async publish (data: Data | Uint8Array, options: PublishOptions = {}): Promise<Published> {
    if (this.#port.closed) throw closed()
    if (!this.wanted) throw this.#error ?? new RoomcastError('not_joined', `Join ${this.name} first`)
    return await this.#port.publish(this.name, data instanceof Uint8Array ? { bytes: data } : { data: data ?? null }, options)
  }

  /** What the room remembers. Needs the grant `history`. */
  async history (options: HistoryOptions = {}): Promise<HistoryPage<Data>> {
    const { type, id, messages, ...page } = await this.#port.history(this.name, options)
    return { ...page, messages: messages.map(({ base64, ...message }) => this.#toMessage(message, page.epoch, base64 === undefined ? undefined : decodeBase64(base64))) } as HistoryPage<Data>
  }

  /** Calls a listener for each event from here on; returns how to stop that. */
  on<E extends keyof RoomEvents<Data>> (event: E, listener: (value: RoomEvents<Data>[E]) => void): () => void {
    return this.#emitter.on(event, listener)
  }

  /**
   * The messages from here on; joins the room if need be. Ends when the room is left or the client is closed. It cannot show
   * that something is missing, so it throws then: `reset`, or `queue_full` when the loop is too slow.
   */
  async * [Symbol.asyncIterator] (): AsyncGenerator<Message<Data>, void, undefined> {
    const messages: Message<Data>[] = []
    let end: RoomcastError | true | undefined
    let wake = (): void => {}
    const finish = (how: RoomcastError | true): void => {
      end ??= how
      wake()
    }
    const stops = [
      this.on('message', (message) => {
        if (messages.length >= MAX_BEHIND) finish(new RoomcastError('queue_full', 'The loop is too slow'))
        else if (end === undefined) messages.push(message)
        wake()
      }),
      this.on('reset', () => { finish(new RoomcastError('reset', `Messages of ${this.name} may be missing`)) }),
      this.on('state', (state) => {
        if (state === 'refused') finish(this.#error as RoomcastError)
        else if (state === 'idle') finish(true)
      })
    ]
    try {
      this.join().catch(finish)
      for (;;) {
        const message = messages.shift()
        if (message !== undefined) yield message
        else if (end === true) return
        else if (end !== undefined) throw end
        else await new Promise<void>((resolve) => { wake = resolve })
      }
    } finally {
      for (const stop of stops) stop()
    }
  }

  /** @internal There is a link: asks to join, or to join again. */
  rejoin (): void {
    clearTimeout(this.#retry)
    this.#joinId = this.#port.sendJoin(this.name, this.#position)
  }

  /** @internal The link is gone. */
  onDown (): void {
    clearTimeout(this.#retry)
    if (this.#state === 'joined') this.#setState('joining')
  }

  /** @internal The client is closed. */
  onClosed (): void {
    this.#settle(closed())
    if (this.wanted) this.#forget('idle')
  }

  /** @internal A frame about this room; `bytes` are the payload of a binary message. */
  onFrame (frame: ServerFrames['message' | 'joined' | 'reset' | 'system' | 'left'], bytes?: Uint8Array): void {
    if (!this.wanted) return
    if (frame.type === 'joined') this.#onJoined(frame)
    else if (frame.type === 'left') this.#onLeft(frame)
    // What comes of an automatic room before it is joined again comes again behind that.
    else if (this.#state === 'joined') {
      if (frame.type === 'message') this.#onMessage(frame, bytes)
      else if (frame.type === 'reset') this.#onReset(frame)
      else this.#emitter.emit('system', frame)
    }
  }

  /** @internal The join was refused. */
  onError ({ code, text, retryable, retryAfterMs }: ServerFrames['error']): void {
    if (!this.wanted) return
    if (retryable) {
      this.#retry = setTimeout(() => { this.rejoin() }, retryAfterMs ?? RETRY_MS)
      return
    }
    this.#refuse(new RoomcastError(code, text))
  }

  /** @internal Whether an id is that of the latest join, or the name, which is the id on event streams. */
  isAnswer (id: unknown): boolean {
    return id === this.#joinId || id === this.name
  }

  #onJoined ({ room, epoch, offset, audience, recovered, missed }: ServerFrames['joined']): void {
    const position = epoch === undefined ? undefined : { epoch, offset: offset as number }
    const isReturn = this.#known
    const whole = isReturn && recovered === true
    if (!whole) this.#position = position
    this.#known = true
    this.#error = undefined
    const joined: Joined = { room, ...position, audience, ...(isReturn && { recovered: whole, ...(whole && { missed: missed ?? 0 }) }) }
    this.#joined = joined
    this.#setState('joined')
    this.#emitter.emit('joined', joined)
    if (isReturn && !whole) this.#emitter.emit('reset', { room, ...position, reason: 'history' })
    for (const { resolve } of this.#waiting.splice(0)) resolve(joined)
    this.#port.onJoined()
  }

  #onLeft ({ room, reason }: ServerFrames['left']): void {
    this.#refuse(new RoomcastError(reason === 'forbidden' ? 'forbidden' : 'not_joined', `The service ended the membership in ${room}`))
    this.#emitter.emit('left', { room, ...(reason !== undefined && { reason }) })
  }

  #onMessage (frame: ServerFrames['message'], bytes: Uint8Array | undefined): void {
    const { offset } = frame
    const epoch = this.#position?.epoch
    if (offset !== undefined && epoch !== undefined) {
      if (offset <= (this.#position as Position).offset) return
      this.#position = { epoch, offset }
    }
    this.#emitter.emit('message', this.#toMessage(frame, epoch, bytes))
  }

  #onReset ({ room, epoch, offset, reason }: ServerFrames['reset']): void {
    const position = epoch === undefined ? undefined : { epoch, offset: offset as number }
    this.#position = position
    this.#emitter.emit('reset', { room, ...position, reason })
  }

  #toMessage ({ type, binary, ...message }: ServerFrames['message'], epoch: string | undefined, bytes: Uint8Array | undefined): Message<Data> {
    return { ...message, ...(epoch !== undefined && { epoch }), ...(bytes !== undefined && { bytes }) } as Message<Data>
  }

  #refuse (error: RoomcastError): void {
    this.#error = error
    this.#settle(error)
    this.#port.onRefused(this.name, error)
    this.#forget('refused')
  }

  /** The state comes last: listeners may join again. */
  #forget (state: RoomState): void {
    clearTimeout(this.#retry)
    this.#position = undefined
    this.#known = false
    this.#joined = undefined
    this.#setState(state)
  }

  #settle (error: RoomcastError): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }

  #setState (state: RoomState): void {
    this.#state = state
    this.#emitter.emit('state', state)
  }
}
