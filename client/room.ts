import type { ServerFrames } from '../src/protocol/frames.ts'
import { closed, RoomcastError, toError } from './errors.ts'
import { Feed } from './feed.ts'
import { Holders } from './holders.ts'
import { iterate } from './iterate.ts'
import { type EventTypes, type HistoryOptions, type HistoryPage, type Message, toMessage } from './message.ts'
import { invalid } from './payload.ts'
import type { Position } from './position.ts'
import type { Published, PublishOptions } from './published.ts'
import type { Joined, JoinOptions, MessagesByEvent, RoomEvents, RoomState } from './room-events.ts'
import { RoomListeners } from './room-listeners.ts'
import type { RoomFrame, RoomPort } from './room-port.ts'

/**
 * A room of a client. The client rejoins it on every new connection and resumes from its position: each message arrives exactly
 * once and in order, or a `reset` reports that messages may be missing.
 */
export class Room<Data = unknown> {
  readonly name: string
  readonly #port: RoomPort
  readonly #listeners = new RoomListeners<Data>()
  readonly #holders = new Holders()
  readonly #feed: Feed<Data>
  #state: RoomState = 'idle'
  #error: RoomcastError | undefined
  /** Present while the room is joined. */
  #joined: Joined | undefined
  #waiting: { resolve: (joined: Joined) => void, reject: (error: RoomcastError) => void }[] = []
  /** The ids of a join and of a leave without an answer. */
  #joinId: number | undefined
  #leaveId = 0

  /** @internal */
  constructor (name: string, port: RoomPort) {
    this.name = name
    this.#port = port
    this.#feed = new Feed<Data>({
      room: name,
      clock: port.clock,
      listeners: this.#listeners,
      onMessage: (message) => { this.#listeners.emitMessage(message) },
      onJoined: (joined) => { this.#onJoined(joined) },
      readHistory: async (options) => await port.history(name, options, false),
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
    if (load !== undefined && typeof load !== 'function') throw invalid('"load" is a function')
    if (since !== undefined) this.#feed.start(since)
    this.#holders.hasApplication = true
    if (load !== undefined) this.#feed.use(load, since === undefined, this.#joined !== undefined)
    return await new Promise<Joined>((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      if (!this.wanted || since !== undefined) this.#begin()
      this.#resolve()
    })
  }

  /**
   * Leaves the room: its messages stop, and its pending publishes are rejected with `not_joined`. While a component holds the
   * room, the client stays a member.
   */
  async leave (): Promise<void> {
    this.#holders.hasApplication = false
    if (!this.#holders.hasComponents) this.#end(new RoomcastError('not_joined', `${this.name} was left`))
  }

  /**
   * Joins the room for a component; returns a function that ends this. The client leaves the room with its last component, after
   * the answers to pending publishes, unless the application has joined the room itself.
   */
  hold (): () => void {
    const release = this.#holders.addComponent()
    if (!this.wanted && !this.#port.isClosed()) this.#begin()
    return () => {
      release()
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
    try {
      return await this.#holders.during(async () => await this.#port.publish(this.name, data, options))
    } finally {
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
    const stop = this.#listeners.on(event, listener)
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
    return iterate(this)
  }

  /** @internal An own message that is not echoed is in the room. */
  onPassed (position: Partial<Position>): void {
    this.#feed.pass(position)
  }

  /** @internal The link has ended. */
  onDown (): void {
    this.#feed.pause()
    // A join without an answer is a request, which is sent again.
    if (this.wanted && this.#joinId === undefined) this.#rejoin()
  }

  /** @internal The client is closed. */
  onClosed (): void {
    if (this.wanted) this.#giveUp(closed(), 'idle')
  }

  /** @internal A frame of this room arrived that answers no request; `bytes` are the payload of a binary message. */
  onFrame (frame: RoomFrame, bytes?: Uint8Array): void {
    // While the client catches up, no join waits for its answer.
    if (frame.type === 'left' && this.wanted && this.#joinId === undefined) this.#onLeft(frame)
    // Before `joined`, a frame belongs to an earlier membership, or is repeated after the join of an automatic room.
    if (this.#joined === undefined) return
    if (frame.type === 'message') this.#feed.take(frame, bytes)
    else if (frame.type === 'reset') this.#feed.reset(frame)
    else if (frame.type === 'joined') this.#enter(frame) // An event stream was opened again.
    else if (frame.type === 'system') this.#listeners.emit('system', frame)
  }

  /** @internal The service has refused the room after the client had joined it. */
  onRefusal (frame: ServerFrames['error']): void {
    if (this.wanted && frame.retryable) this.#rejoin()
    else if (this.wanted) this.#giveUp(toError(frame), 'refused')
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
    this.#joinId = requests.add<'joined'>({
      answer: 'joined',
      room: this.name,
      // A leave must not follow the join.
      isReady: () => !requests.has(this.#leaveId),
      prepare: (id) => ({ type: 'join', room: this.name, since: this.since, id }),
      onAnswer: (answer) => {
        this.#joinId = undefined
        if (answer.type === 'joined') this.#enter(answer)
        else this.#giveUp(toError(answer), 'refused')
      }
    })
    if (this.#state !== 'joining') this.#setState('joining')
  }

  #enter (frame: ServerFrames['joined']): void {
    this.#joined = undefined
    this.#feed.enter(frame)
    this.#resolve()
  }

  #onJoined (joined: Joined): void {
    this.#joined = joined
    this.#setState('joined')
    if (this.#joined !== joined) return // A listener has left the room.
    this.#listeners.emit('joined', joined)
    this.#port.requests.flush() // Publishes wait for the join.
  }

  #onLeft ({ room, reason }: ServerFrames['left']): void {
    const code = reason === 'forbidden' ? reason : 'not_joined'
    this.#giveUp(new RoomcastError(code, `The service ended the membership in ${room}`), 'refused')
    this.#listeners.emit('left', { room, ...(reason !== undefined && { reason }) })
  }

  #endIfUnused (): void {
    if (!this.#holders.isAny) this.#end(new RoomcastError('not_joined', `${this.name} was left`))
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
        isReady: () => true,
        prepare: (id) => ({ type: 'leave', room: this.name, id }),
        onAnswer: () => {}
      })
    }
    this.#giveUp(error, 'idle')
  }

  #giveUp (error: RoomcastError, state: RoomState): void {
    if (state === 'refused') this.#error = error
    for (const { reject } of this.#waiting.splice(0)) reject(error)
    this.#port.onLeft(this.name, error)
    this.#forget(state)
  }

  /** Sets the state last, because a listener may join again. */
  #forget (state: RoomState): void {
    this.#joined = this.#joinId = undefined
    this.#holders.hasApplication = false
    this.#feed.clear()
    this.#setState(state)
    this.#reportUse()
  }

  #resolve (): void {
    if (this.#joined === undefined || this.#feed.isLoading) return
    for (const { resolve } of this.#waiting.splice(0)) resolve(this.#joined)
  }

  #setState (state: RoomState): void {
    this.#state = state
    this.#listeners.emit('state', state)
  }

  #reportUse (): void {
    this.#port.onUse(this as unknown as Room, this.wanted || this.#listeners.isUsed)
  }
}
