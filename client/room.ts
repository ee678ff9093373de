import type { ServerFrames } from '../src/protocol/frames.ts'
import { Emitter } from './emitter.ts'
import { closed, RoomcastError, toError } from './errors.ts'
import { iterate } from './iterate.ts'
import { type HistoryOptions, type HistoryPage, type Message, toMessage } from './message.ts'
import { type Position, toPosition } from './position.ts'
import type { Published, PublishOptions } from './published.ts'
import type { Joined, RoomEvents, RoomState } from './room-events.ts'

/** A join that could not be made for the time being is tried again after this long, ms, unless the service says when. */
const RETRY_MS = 1_000

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
  /** The next join is a resume. */
  #isResume = false
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
      this.#isResume = since !== undefined
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
    return { ...page, messages: messages.map((message) => toMessage<Data>(message, page.epoch)) }
  }

  /** Calls a listener for each event from here on; returns how to stop that. */
  on<E extends keyof RoomEvents<Data>> (event: E, listener: (value: RoomEvents<Data>[E]) => void): () => void {
    return this.#emitter.on(event, listener)
  }

  /**
   * The future messages. Joins the room if necessary, and ends when the client leaves the room or is closed. Throws `reset` when
   * messages may be missing, and `queue_full` when the loop is too slow.
   */
  [Symbol.asyncIterator] (): AsyncGenerator<Message<Data>, void, undefined> {
    return iterate(this)
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
  onError (frame: ServerFrames['error']): void {
    if (!this.wanted) return
    if (frame.retryable) this.#retry = setTimeout(() => { this.rejoin() }, frame.retryAfterMs ?? RETRY_MS)
    else this.#refuse(toError(frame))
  }

  /** @internal Whether an id is that of the latest join, or the name, which is the id on event streams. */
  isAnswer (id: unknown): boolean {
    return id === this.#joinId || id === this.name
  }

  #onJoined (frame: ServerFrames['joined']): void {
    const { room, audience, recovered = false, missed = 0 } = frame
    const position = toPosition(frame)
    const isResume = this.#isResume
    if (!isResume || !recovered) this.#position = position
    this.#isResume = true
    this.#error = undefined
    const joined = { room, ...position, audience, ...(isResume && { recovered, ...(recovered && { missed }) }) }
    this.#joined = joined
    this.#setState('joined')
    this.#emitter.emit('joined', joined)
    if (isResume && !recovered) this.#emitter.emit('reset', { room, ...position, reason: 'history' })
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
    this.#emitter.emit('message', toMessage(frame, epoch, bytes))
  }

  #onReset (frame: ServerFrames['reset']): void {
    const { room, reason } = frame
    this.#position = toPosition(frame)
    this.#emitter.emit('reset', { room, ...this.#position, reason })
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
    this.#isResume = false
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
