import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import type { ServerFrame, ServerFrames } from '../src/protocol/frames.ts'
import type { Clock } from './clock.ts'
import type { Link, SentFrame } from './link.ts'
import { Throttle } from './throttle.ts'

/** The allowance of the service that a frame is counted on. */
export type Kind = 'messages' | 'control'

/** The weights of frames: the service's allowance for control frames is ten times as large. */
const WEIGHTS = { messages: 10, control: 1 }
/** The weight of unanswered frames at first, and at most: 32 messages or 320 joins, and 256 messages. It grows with each answer. */
const WINDOW = 320
const MAX_WINDOW = 2_560
const WINDOW_GROWTH = 0.2

/** The type of the frame that answers a request, apart from `error`. */
type AnswerType = 'joined' | 'left' | 'ack' | 'history'

/** The types of all answers: a frame of another type is none, whatever its `id` is. */
const ANSWERS: ReadonlySet<string> = new Set(['joined', 'left', 'ack', 'history', 'error'])

/** The answer to a request. */
export type Answer<Type extends AnswerType = AnswerType> = ServerFrames[Type] | ServerFrames['error']

/** A frame that expects an answer. */
export interface Request<Type extends AnswerType = AnswerType> {
  readonly answer: Type
  /** The room: its requests are sent in their order. */
  readonly room: string
  /** The payload of a binary publish. */
  readonly bytes?: Uint8Array<ArrayBuffer> | undefined
  /** Whether it may be sent, as soon as the service takes it. */
  isReady (): boolean
  /** The frame for an attempt; undefined where it may not be sent any more. */
  prepare (id: number): SentFrame | undefined
  /** Receives the answer, but no `retryable` error: the request is sent again after it. */
  onAnswer (answer: Answer<Type>): void
}

/** A request without an answer. */
interface Entry {
  readonly request: Request
  readonly id: number
  readonly kind: Kind
  /** The round of the throttle in which it was sent on the current link; undefined before. */
  round: number | undefined
}

/**
 * The requests of a client: every frame that expects an answer, in one order and within one window. It sends a request again after
 * a `retryable` refusal, and on the next link.
 */
export class Requests {
  readonly clock: Clock
  readonly #send: Link['send']
  readonly #onHeld: (ms: number) => void
  readonly #entries = new Map<number, Entry>()
  readonly #refused = new Set<number>()
  readonly #throttle = new Throttle()
  #isOpen = false
  /** Joins and leaves change the streams of the link, and are no frames. */
  #hasStreams = false
  #lastId = 0
  #window = WINDOW
  #underWay = 0
  #cancelTimer = (): void => {}

  /** @param onHeld told when the service refuses a frame for the rate, and for how long nothing is sent, ms */
  constructor (clock: Clock, send: Link['send'], onHeld: (ms: number) => void) {
    this.clock = clock
    this.#send = send
    this.#onHeld = onHeld
  }

  /** Adds a request, and sends it as soon as it may be sent. Returns its id. */
  add <Type extends AnswerType>(request: Request<Type>): number {
    const id = ++this.#lastId
    const kind = request.answer === 'ack' || request.answer === 'history' ? 'messages' : 'control'
    // An answer of another type does not pass `take`.
    const entry: Entry = { request: request as unknown as Request, id, kind, round: undefined }
    if (isText(request.room)) {
      this.#entries.set(id, entry)
      this.flush()
    } else this.#refuse(entry)
    return id
  }

  /** Removes a request; its answer is ignored. Returns whether it was sent on the current link. */
  remove (id: number): boolean {
    const entry = this.#entries.get(id)
    this.#entries.delete(id)
    this.#refused.delete(id)
    return entry !== undefined && this.#unsend(entry)
  }

  /** Whether a request waits, for its answer or to be sent. */
  has (id: number): boolean {
    return this.#entries.has(id)
  }

  /** Whether a request that a link has taken may still leave it. */
  isCurrent (id: number): boolean {
    return this.#entries.get(id)?.request.prepare(id) !== undefined
  }

  /** Whether a request waits for its answer on the current link. */
  isSent (id: number): boolean {
    return this.#entries.get(id)?.round !== undefined
  }

  /**
   * Gives a frame to the request that it answers. Returns false for a frame that answers none, and never did. Throws an error for an
   * answer of the wrong type: the request would wait for ever, so the link must end.
   */
  take (frame: ServerFrame): boolean {
    const id = 'id' in frame ? frame.id : undefined
    if (typeof id !== 'number' || id > this.#lastId || !ANSWERS.has(frame.type)) return false
    const entry = this.#entries.get(id)
    if (entry?.round === undefined) return true
    const { request, round, kind } = entry
    if (frame.type === 'error' && frame.retryable) this.#onRefusal(entry, frame)
    else {
      if (frame.type !== 'error' && frame.type !== request.answer) throw new Error(`The service sent ${frame.type} for ${request.answer}`)
      this.remove(id)
      this.#throttle.accept(kind, request.room, round)
      this.#window = Math.min(MAX_WINDOW, this.#window + WINDOW_GROWTH * WEIGHTS[kind])
      request.onAnswer(frame as Answer)
    }
    this.flush()
    return true
  }

  /** Sends the requests that may be sent now, and the others when they may be. */
  flush (): void {
    this.#cancelTimer()
    if (!this.#isOpen) return
    const throttle = this.#throttle
    const now = this.clock.now()
    const resting = new Set<Kind>(['messages', 'control'])
    let waitMs = Infinity
    for (const entry of this.#entries.values()) {
      const { kind, request } = entry
      if (entry.round !== undefined || !request.isReady()) continue
      const isFrame = kind === 'messages' || !this.#hasStreams
      const roomMs = throttle.waitForRoom(request.room, now)
      if (isFrame && roomMs === 0) resting.delete(kind)
      if (isFrame && this.#underWay >= this.#window) {
        // Behind the frames, there may be changes of the streams.
        if (this.#hasStreams) continue
        resting.clear()
        break
      }
      const ms = isFrame ? Math.max(roomMs, throttle.wait(kind, now)) : roomMs
      if (ms > 0) waitMs = Math.min(waitMs, ms)
      else this.#sendNow(entry, isFrame)
    }
    for (const kind of resting) throttle.rest(kind)
    if (waitMs < Infinity) this.#cancelTimer = this.clock.after(Math.ceil(waitMs), () => { this.flush() })
  }

  /** A link has opened. */
  onOpen (hasStreams: boolean): void {
    this.#isOpen = true
    this.#hasStreams = hasStreams
    this.flush()
  }

  /** The link has ended: all requests are sent again on the next one, except those that end with it. */
  onDown (code: number): void {
    this.#isOpen = false
    this.#cancelTimer()
    if (code === CLOSE_CODES.rateLimited) this.#slowDown()
    for (const entry of this.#entries.values()) {
      this.#unsend(entry)
      if (entry.request.answer === 'left') this.#entries.delete(entry.id)
    }
    this.#throttle.onDown()
  }

  /** Refuses a request that cannot be sent over every transport, after its owner knows the id. */
  #refuse ({ request, id }: Entry): void {
    this.#refused.add(id)
    queueMicrotask(() => {
      if (!this.#refused.delete(id)) return
      const text = 'The name of a room is a text of whole characters'
      request.onAnswer({ type: 'error', id, code: 'invalid_room', text, retryable: false })
    })
  }

  #sendNow (entry: Entry, isFrame: boolean): void {
    const { id, kind, request } = entry
    const frame = request.prepare(id)
    if (frame === undefined) return
    entry.round = this.#throttle.round
    this.#underWay += WEIGHTS[kind]
    if (isFrame) this.#throttle.spend(kind)
    this.#send(frame, request.bytes)
  }

  #onRefusal (entry: Entry, error: ServerFrames['error']): void {
    const { kind, request: { room }, round = 0 } = entry
    this.#unsend(entry)
    const isFirst = this.#throttle.round === round
    const ms = this.#throttle.refuse(kind, room, error, round, this.clock.now())
    if (!isFirst || ms === 0) return
    this.#slowDown()
    this.#onHeld(ms)
  }

  #slowDown (): void {
    this.#window = Math.max(WEIGHTS.messages, this.#window >> 1)
  }

  #unsend (entry: Entry): boolean {
    if (entry.round === undefined) return false
    this.#underWay -= WEIGHTS[entry.kind]
    entry.round = undefined
    return true
  }
}

/** Whether a value is a text without halves of surrogate pairs, which a URL would replace. */
function isText (value: unknown): boolean {
  return typeof value === 'string' && !/[\ud800-\udfff]/u.test(value)
}
