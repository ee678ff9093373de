import type { ServerFrames } from '../src/protocol/frames.ts'
import type { Answer, Answers } from './answers.ts'
import { Emitter } from './emitter.ts'
import { closed, RoomcastError, toError } from './errors.ts'
import { iterate } from './iterate.ts'
import type { SentFrame } from './link.ts'
import { type HistoryOptions, type HistoryPage, type Message, toMessage } from './message.ts'
import { type Position, toPosition } from './position.ts'
import { Progress } from './progress.ts'
import type { Published, PublishOptions } from './published.ts'
import type { Joined, RoomEvents, RoomState } from './room-events.ts'

/** The wait before the retry of a join, ms, unless the service gives one. */
const RETRY_MS = 1_000

/** The parts of a client that its rooms use. */
export interface RoomPort {
  readonly answers: Answers
  isClosed: () => boolean
  /** Sends a frame where there is a connection. */
  send: (frame: SentFrame) => void
  publish: (room: string, content: { data?: unknown, bytes?: Uint8Array }, options: PublishOptions) => Promise<Published>
  history: (room: string, options: HistoryOptions) => Promise<ServerFrames['history']>
  onJoined: () => void
  /** The room is no longer joined: its publishes are rejected. */
  onLeft: (room: string, error: RoomcastError) => void
}

/**
 * A room of a client. The client rejoins it on every new connection and resumes from its position: each message arrives exactly
 * once and in order, or a `reset` reports that messages may be missing.
 */
export class Room<Data = unknown> {
  readonly name: string
  readonly #port: RoomPort
  readonly #emitter = new Emitter<RoomEvents<Data>>()
  #state: RoomState = 'idle'
  #error: RoomcastError | undefined
  readonly #progress = new Progress()
  /** The next join is a resume. */
  #isResume = false
  /** Present while the room is joined. */
  #joined: Joined | undefined
  #waiting: { resolve: (joined: Joined) => void, reject: (error: RoomcastError) => void }[] = []
  /** The id of the latest join. */
  #joinId = 0
  #retry: ReturnType<typeof setTimeout> | undefined

  /** @internal */
  constructor (name: string, port: RoomPort) {
    this.name = name
    this.#port = port
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
    return this.#progress.position
  }

  /** Whether the client joins the room on every connection. */
  get wanted (): boolean {
    return this.#state === 'joining' || this.#state === 'joined'
  }

  /**
   * Joins the room. The client stays a member over all connections until `leave`. Rejects when the service refuses the join.
   *
   * @param options.since the position to resume from, such as the one that a page was rendered with
   */
  async join ({ since }: { since?: Position } = {}): Promise<Joined> {
    if (this.#port.isClosed()) throw closed()
    if (this.#joined !== undefined) return this.#joined
    const answer = new Promise<Joined>((resolve, reject) => { this.#waiting.push({ resolve, reject }) })
    if (this.#state !== 'joining') {
      this.#progress.restart(since)
      this.#isResume = since !== undefined
      this.rejoin()
      this.#setState('joining')
    }
    return await answer
  }

  /** Leaves the room. Its messages stop, and its pending publishes are rejected with `not_joined`. */
  async leave (): Promise<void> {
    if (!this.wanted) return
    const error = new RoomcastError('not_joined', `${this.name} was left`)
    this.#settle(error)
    this.#port.onLeft(this.name, error)
    this.#port.send({ type: 'leave', room: this.name, id: this.#port.answers.nextId() })
    this.#forget('idle')
  }

  /**
   * Publishes to the room, after a call of `join`. Without a connection, the publish waits for one. Resolves with the place of
   * the message in the room; rejects with a `RoomcastError`.
   */
  async publish (data: Data | Uint8Array, options: PublishOptions = {}): Promise<Published> {
    if (this.#port.isClosed()) throw closed()
    if (!this.wanted) throw this.#error ?? new RoomcastError('not_joined', `Join ${this.name} first`)
    return await this.#port.publish(this.name, data instanceof Uint8Array ? { bytes: data } : { data: data ?? null }, options)
  }

  /** Reads the history of the room. Needs the grant `history`. */
  async history (options: HistoryOptions = {}): Promise<HistoryPage<Data>> {
    const { type, id, messages, ...page } = await this.#port.history(this.name, options)
    return { ...page, messages: messages.map((message) => toMessage<Data>(message, page.epoch)) }
  }

  /** Calls a listener for each future event; returns a function that stops this. */
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

  /** @internal Sends a join, from the position if there is one. */
  rejoin (): void {
    const { answers, send } = this.#port
    clearTimeout(this.#retry)
    answers.forget(this.#joinId)
    this.#joinId = answers.nextId()
    answers.expect(this.#joinId, (answer) => { this.#onAnswer(answer) })
    send({ type: 'join', room: this.name, since: this.position, id: this.#joinId })
  }

  /** @internal An own message that is not echoed is in the room. */
  onPassed (position: Partial<Position>): void {
    this.#progress.pass(position)
  }

  /** @internal The link has ended. */
  onDown (): void {
    clearTimeout(this.#retry)
    if (this.#joined === undefined) return
    this.#joined = undefined
    this.#setState('joining')
  }

  /** @internal The client is closed. */
  onClosed (): void {
    this.#settle(closed())
    if (this.wanted) this.#forget('idle')
  }

  /** @internal A frame of this room arrived; `bytes` are the payload of a binary message. */
  onFrame (frame: ServerFrames['message' | 'reset' | 'system' | 'left'], bytes?: Uint8Array): void {
    if (!this.wanted) return
    if (frame.type === 'left') this.#onLeft(frame)
    // The service repeats the frames of an automatic room after the join.
    else if (this.#joined !== undefined) {
      if (frame.type === 'message') this.#onMessage(frame, bytes)
      else if (frame.type === 'reset') this.#onReset(frame)
      else this.#emitter.emit('system', frame)
    }
  }

  #onAnswer (answer: Answer): void {
    if (!this.wanted) return
    if (answer.type === 'joined') this.#onJoined(answer)
    else if (answer.type === 'error') {
      if (answer.retryable) this.#retry = setTimeout(() => { this.rejoin() }, answer.retryAfterMs ?? RETRY_MS)
      else this.#refuse(toError(answer))
    }
  }

  #onJoined (frame: ServerFrames['joined']): void {
    const { room, audience, recovered = false, missed = 0 } = frame
    const position = toPosition(frame)
    const isResume = this.#isResume
    if (isResume && recovered) this.#progress.resume(position, missed)
    else this.#progress.restart(position)
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
    this.#refuse(new RoomcastError(reason === 'forbidden' ? reason : 'not_joined', `The service ended the membership in ${room}`))
    this.#emitter.emit('left', { room, ...(reason !== undefined && { reason }) })
  }

  #onMessage (frame: ServerFrames['message'], bytes: Uint8Array | undefined): void {
    if (this.#progress.take(frame.offset)) this.#emitter.emit('message', toMessage(frame, this.position?.epoch, bytes))
  }

  #onReset (frame: ServerFrames['reset']): void {
    const { room, reason } = frame
    const position = toPosition(frame)
    this.#progress.restart(position)
    this.#emitter.emit('reset', { room, ...position, reason })
  }

  #refuse (error: RoomcastError): void {
    this.#error = error
    this.#settle(error)
    this.#port.onLeft(this.name, error)
    this.#forget('refused')
  }

  /** Sets the state last, because a listener may join again. */
  #forget (state: RoomState): void {
    clearTimeout(this.#retry)
    this.#progress.restart(undefined)
    this.#joined = undefined
    this.#isResume = false
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
