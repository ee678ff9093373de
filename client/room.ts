import type { ServerFrames } from '../src/protocol/frames.ts'
import { Emitter } from './emitter.ts'
import { closed, RoomcastError, toError } from './errors.ts'
import { Feed } from './feed.ts'
import { RoomIterator } from './iterate.ts'
import { type EventTypes, type HistoryOptions, type HistoryPage, type Message, toMessage } from './message.ts'
import { invalid } from './payload.ts'
import { isPosition, type Position } from './position.ts'
import type { Published, PublishOptions } from './published.ts'
import type { Answer } from './requests.ts'
import type { RoomFrame, RoomPort } from './room-port.ts'
import { isOwnEvent, type Joined, type JoinOptions, type MessagesByEvent, type RoomEvents, type RoomState } from './room-events.ts'

/**
 * A room of a client. The client rejoins it on every new connection and resumes from its position: each message arrives exactly
 * once and in order, or a `reset` reports that messages may be missing.
 */
export class Room<Data = unknown> {
  readonly name: string
  readonly #port: RoomPort
  readonly #emitter = new Emitter<RoomEvents<Data>>()
  readonly #messages = new Emitter<Record<string, Message<Data>>>()
  readonly #feed: Feed<Data>
  #state: RoomState = 'idle'
  #error: RoomcastError | undefined
  /** The application has joined the room. */
  #isOwned = false
  /** The components in the room, and the pending publishes: the membership lasts as long as any of these. */
  #holds = 0
  #publishes = 0
  /** Present while the room is joined. */
  #joined: Joined | undefined
  #waiting: { resolve: (joined: Joined) => void, reject: (error: RoomcastError) => void }[] = []
  /** The ids of a join and of a leave without an answer. */
  #joinId: number | undefined
  #leaveId: number | undefined

  /** @internal */
  constructor (name: string, port: RoomPort) {
    this.name = name
    this.#port = port
    this.#feed = new Feed<Data>({
      room: name,
      clock: port.clock,
      emitter: this.#emitter,
      onMessage: (message) => { this.#onMessage(message) },
      onJoined: (joined) => { this.#onJoined(joined) },
      readHistory: async (options) => await port.history(name, options),
      rejoin: () => { this.#rejoin() },
      onLoaded: () => { this.#resolve() },
      report: port.report
    })
  }

  /** The state of the room on this client. */
  get state (): RoomState {
    return this.#state
  }

  /** The reason for the state `refused`. */
  get error (): RoomcastError | undefined {
    return this.#error
  }

  /** The position to resume from, see `Progress`; undefined before the first join, and in rooms without history. */
  get position (): Position | undefined {
    return this.#feed.position
  }

  /** @internal The position for the next join. */
  get since (): Position | undefined {
    return this.#feed.since
  }

  /** @internal Whether publishes may be sent. */
  get isOpen (): boolean {
    return this.#joined !== undefined
  }

  /** Whether the client joins the room on every connection. */
  get wanted (): boolean {
    return this.#state === 'joining' || this.#state === 'joined'
  }

  /**
   * Joins the room. The client stays a member over all connections until `leave`. Resolves when the room is joined and its state
   * is loaded. Rejects when the service refuses the join, and with `already_joined` for a `since` that comes too late.
   */
  async join ({ since, load }: JoinOptions = {}): Promise<Joined> {
    const port = this.#port
    if (port.isClosed()) throw closed()
    if (since !== undefined && !isPosition(since)) throw invalid('"since" is { epoch, offset }')
    if (load !== undefined && typeof load !== 'function') throw invalid('"load" is a function')
    if (since !== undefined && !this.#feed.isFresh) {
      throw new RoomcastError('already_joined', `${this.name} is joined already; leave it first, or read its history`)
    }
    this.#isOwned = true
    if (load !== undefined) this.#feed.use(load, this.#joined !== undefined)
    if (since !== undefined) this.#feed.start(since)
    if (!this.wanted || since !== undefined) this.#begin()
    const answer = new Promise<Joined>((resolve, reject) => { this.#waiting.push({ resolve, reject }) })
    this.#resolve()
    return await answer
  }

  /**
   * Leaves the room: its messages stop, and its pending publishes are rejected with `not_joined`. While a component holds the
   * room, the client stays a member.
   */
  async leave (): Promise<void> {
    this.#isOwned = false
    if (this.#holds === 0) this.#end(new RoomcastError('not_joined', `${this.name} was left`))
  }

  /**
   * Joins the room for a component; returns a function that ends this. The client leaves the room with its last component, after
   * the answers to pending publishes, unless the application has joined the room itself.
   */
  hold (): () => void {
    this.#holds++
    if (!this.wanted && !this.#port.isClosed()) this.#begin()
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#holds--
      // Another component may follow in the same turn.
      this.#port.clock.after(0, () => { this.#endIfUnused() })
    }
  }

  /**
   * Publishes to the room, after a call of `join`. Bytes are published as bytes, any other value as JSON. Without a connection,
   * the publish waits for one. Resolves with the place of the message in the room; rejects with a `RoomcastError`.
   */
  async publish<Name extends keyof EventTypes<Data> & string> (
    data: EventTypes<Data>[Name] | ArrayBufferLike | ArrayBufferView,
    options: PublishOptions<Name> = {}
  ): Promise<Published> {
    if (this.#port.isClosed()) throw closed()
    if (!this.wanted) throw this.#error ?? new RoomcastError('not_joined', `Join ${this.name} first`)
    this.#publishes++
    try {
      return await this.#port.publish(this.name, data, options)
    } finally {
      this.#publishes--
      this.#endIfUnused()
    }
  }

  /** Reads the history of the room. Needs the grant `history`. */
  async history (options: HistoryOptions = {}): Promise<HistoryPage<Data>> {
    if (this.#port.isClosed()) throw closed()
    const { type, id, messages, ...page } = await this.#port.history(this.name, options)
    return { ...page, messages: messages.map((message) => toMessage<Data>(message, page.epoch)) }
  }

  /**
   * Calls a listener for each future event; returns a function that stops this. A name other than the room's own events is that
   * of an event, and the listener receives the messages with this event.
   */
  on<E extends keyof RoomEvents<Data>> (event: E, listener: (value: RoomEvents<Data>[E]) => void): () => void
  on<Name extends keyof MessagesByEvent<Data>> (event: Name, listener: (message: MessagesByEvent<Data>[Name]) => void): () => void
  on (event: string, listener: (value: never) => void): () => void {
    const any = listener as (value: unknown) => void // The overloads have the types.
    const stop = isOwnEvent(event) ? this.#emitter.on(event, any) : this.#messages.on(event, any)
    this.#reportUse()
    return () => {
      stop()
      this.#reportUse()
    }
  }

  /**
   * The future messages. Joins the room if necessary, and ends when the client leaves the room or is closed. Throws `reset` when
   * messages may be missing, and `queue_full` when the loop is too slow.
   */
  [Symbol.asyncIterator] (): AsyncIterableIterator<Message<Data>, undefined> {
    return new RoomIterator(this)
  }

  /** @internal An own message that is not echoed is in the room. */
  onPassed (position: Partial<Position>): void {
    this.#feed.pass(position)
  }

  /** @internal The link has ended. */
  onDown (): void {
    this.#leaveId = undefined
    this.#feed.pause()
    // A join without an answer is sent again by itself.
    if (this.wanted && this.#joinId === undefined) this.#rejoin()
  }

  /** @internal The client is closed. */
  onClosed (): void {
    this.#reject(closed())
    if (this.wanted) this.#forget('idle')
  }

  /** @internal A frame of this room arrived that answers no request; `bytes` are the payload of a binary message. */
  onFrame (frame: RoomFrame, bytes?: Uint8Array): void {
    // Before `joined`, a frame belongs to an earlier membership, or is repeated after the join of an automatic room.
    if (this.#joined === undefined) return
    if (frame.type === 'message') this.#feed.take(frame, bytes)
    else if (frame.type === 'reset') this.#feed.reset(frame)
    else if (frame.type === 'joined') this.#enter(frame) // An event stream was opened again.
    else if (frame.type === 'system') this.#emitter.emit('system', frame)
    else this.#onLeft(frame)
  }

  #begin (): void {
    this.#error = undefined
    this.#rejoin()
    this.#reportUse()
  }

  /** Joins from the position, if there is one: at first, on a new link, and where the client has fallen behind. */
  #rejoin (): void {
    const { requests } = this.#port
    this.#feed.pause()
    this.#joined = undefined
    if (this.#joinId !== undefined) requests.remove(this.#joinId)
    if (this.#state !== 'joining') this.#setState('joining')
    this.#joinId = requests.add<'joined'>({
      answer: 'joined',
      room: this.name,
      // A leave must not follow the join.
      prepare: (id) => this.#leaveId === undefined ? { type: 'join', room: this.name, since: this.since, id } : undefined,
      onAnswer: (answer) => { this.#onAnswer(answer) }
    })
  }

  #onAnswer (answer: Answer<'joined'>): void {
    this.#joinId = undefined
    if (answer.type === 'joined') this.#enter(answer)
    else this.#refuse(toError(answer))
  }

  #enter (frame: ServerFrames['joined']): void {
    this.#joined = undefined
    this.#feed.enter(frame)
    this.#resolve()
  }

  #onJoined (joined: Joined): void {
    this.#joined = joined
    this.#setState('joined')
    this.#emitter.emit('joined', joined)
    this.#port.requests.flush() // Publishes wait for the join.
  }

  #onMessage (message: Message<Data>): void {
    if (!this.wanted) return // A listener has left the room.
    this.#emitter.emit('message', message)
    if (message.event !== undefined) this.#messages.emit(message.event, message)
  }

  #onLeft ({ room, reason }: ServerFrames['left']): void {
    this.#refuse(new RoomcastError(reason === 'forbidden' ? reason : 'not_joined', `The service ended the membership in ${room}`))
    this.#emitter.emit('left', { room, ...(reason !== undefined && { reason }) })
  }

  #endIfUnused (): void {
    if (this.#isOwned || this.#holds > 0 || this.#publishes > 0) return
    this.#end(new RoomcastError('not_joined', `${this.name} was left`))
  }

  #end (error: RoomcastError): void {
    if (!this.wanted) return
    const { requests } = this.#port
    // Without a membership, the service would refuse the leave.
    const isMember = this.#joinId === undefined || requests.remove(this.#joinId)
    if (isMember) {
      this.#leaveId = requests.add<'left'>({
        answer: 'left',
        room: this.name,
        prepare: (id) => ({ type: 'leave', room: this.name, id }),
        onAnswer: () => { this.#leaveId = undefined }
      })
    }
    this.#giveUp(error, 'idle')
  }

  #refuse (error: RoomcastError): void {
    this.#error = error
    this.#giveUp(error, 'refused')
  }

  #giveUp (error: RoomcastError, state: RoomState): void {
    this.#reject(error)
    this.#port.onLeft(this.name, error)
    this.#forget(state)
  }

  /** Sets the state last, because a listener may join again. */
  #forget (state: RoomState): void {
    this.#joined = this.#joinId = undefined
    this.#isOwned = false
    this.#feed.clear()
    this.#setState(state)
    this.#reportUse()
  }

  #resolve (): void {
    if (this.#joined === undefined || this.#feed.isLoading) return
    for (const { resolve } of this.#waiting.splice(0)) resolve(this.#joined)
  }

  #reject (error: RoomcastError): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }

  #setState (state: RoomState): void {
    this.#state = state
    this.#emitter.emit('state', state)
  }

  #reportUse (): void {
    this.#port.onUse(this as unknown as Room, this.wanted || this.#emitter.isUsed || this.#messages.isUsed)
  }
}
