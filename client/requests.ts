import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import type { ServerFrame, ServerFrames } from '../src/protocol/frames.ts'
import type { Clock } from './clock.ts'
import { readDelay } from './delay.ts'
import type { Link, SentFrame } from './link.ts'
import { Pace } from './pace.ts'

/** The weights of frames: the service's allowance for control frames is ten times as large. */
const WEIGHTS = { messages: 10, control: 1 }
/** The maximum weight of unanswered frames: 32 messages, or 320 joins. */
const WINDOW = 320
/** The wait before the first retry of a refused frame, ms, unless the service names one; it doubles with each further refusal. */
const RETRY_MS = 500
const MAX_RETRY_MS = 30_000

/** The type of the frame that answers a request, apart from `error`. */
type AnswerType = 'joined' | 'left' | 'ack' | 'history'

/** The answer to a request. */
export type Answer<Type extends AnswerType = AnswerType> = ServerFrames[Type] | ServerFrames['error']

/** A frame that expects an answer. */
export interface Request<Type extends AnswerType = AnswerType> {
  readonly answer: Type
  /** The room: its requests are sent in their order. */
  readonly room: string
  /** The payload of a binary publish. */
  readonly bytes?: Uint8Array<ArrayBuffer> | undefined
  /** The frame for the next attempt; undefined where it may not be sent now. */
  prepare (id: number): SentFrame | undefined
  /** Receives the answer, but no `retryable` error: the request is sent again after it. */
  onAnswer (answer: Answer<Type>): void
}

/** A request without an answer. */
interface Entry {
  readonly request: Request
  readonly id: number
  /** Whether it was sent on the current link. */
  isSent: boolean
  /** The round in which it was sent; a refusal for the rate begins another one. */
  round: number
}

/** The refusals of a room's requests in a row, and the time before which none is sent. */
interface Hold { refusals: number, until: number }

/**
 * The requests of a client: every frame that expects an answer, in one order and within one window. It sends a request again after
 * a `retryable` refusal, and on the next link. One refusal for the rate holds all requests, so that none adds to the excess.
 */
export class Requests {
  readonly clock: Clock
  readonly #send: Link['send']
  readonly #onHeld: (ms: number) => void
  readonly #entries = new Map<number, Entry>()
  readonly #paces = { messages: new Pace(), control: new Pace() }
  /** The rooms with refused requests, so that no later request of the room overtakes one. */
  readonly #holds = new Map<string, Hold>()
  #isOpen = false
  /** Joins and leaves change the streams of the link, and are no frames. */
  #hasStreams = false
  #lastId = 0
  #window = WINDOW
  #underWay = 0
  #round = 0
  /** The refusals for the rate in a row, and the time before which nothing is sent. */
  #refusals = 0
  #heldUntil = 0
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
    // An answer of another type does not arrive.
    this.#entries.set(id, { request: request as unknown as Request, id, isSent: false, round: 0 })
    this.flush()
    return id
  }

  /** Removes a request; its answer is ignored. Returns whether it was sent on the current link. */
  remove (id: number): boolean {
    const entry = this.#entries.get(id)
    return entry !== undefined && this.#remove(entry)
  }

  /** Whether a request waits for its answer on the current link. */
  isSent (id: number): boolean {
    return this.#entries.get(id)?.isSent === true
  }

  /** Gives a frame to the request that it answers. Returns false for a frame that answers none, and never did. */
  take (frame: ServerFrame): boolean {
    const id = 'id' in frame ? frame.id : undefined
    if (typeof id !== 'number' || id > this.#lastId) return false
    const entry = this.#entries.get(id)
    if (entry?.isSent !== true) return true
    if (frame.type === 'error' && frame.retryable) this.#onRefusal(entry, frame)
    else if (frame.type === 'error' || frame.type === entry.request.answer) {
      this.#remove(entry)
      this.#holds.delete(entry.request.room)
      this.#paces[kindOf(entry)].accept()
      if (entry.round === this.#round) this.#refusals = 0
      this.#window = Math.min(WINDOW, this.#window + WEIGHTS.messages)
      entry.request.onAnswer(frame as Answer)
    }
    this.flush()
    return true
  }

  /** Sends the requests that may be sent now, and the others when they may be. */
  flush (): void {
    this.#cancelTimer()
    if (!this.#isOpen) return
    const now = this.clock.now()
    const isHeld = this.#heldUntil > now
    let waitMs = isHeld ? this.#heldUntil - now : Infinity
    const resting = new Set(Object.values(this.#paces))
    for (const entry of this.#entries.values()) {
      if (entry.isSent) continue
      const kind = kindOf(entry)
      const isFrame = kind === 'messages' || !this.#hasStreams
      const pace = this.#paces[kind]
      if (isFrame) resting.delete(pace)
      if (isFrame && (isHeld || this.#underWay >= this.#window)) {
        if (this.#hasStreams) continue
        resting.clear() // The rest is not looked at.
        break
      }
      const ms = Math.max((this.#holds.get(entry.request.room)?.until ?? 0) - now, isFrame ? pace.wait(now) : 0)
      if (ms > 0) waitMs = Math.min(waitMs, ms)
      else this.#sendNow(entry, isFrame ? pace : undefined)
    }
    for (const pace of resting) pace.rest()
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
    if (code === CLOSE_CODES.rateLimited.code) this.#window = Math.max(1, this.#window >> 1)
    for (const entry of this.#entries.values()) {
      this.#unsend(entry)
      if (entry.request.answer === 'left') this.#entries.delete(entry.id)
    }
    for (const pace of Object.values(this.#paces)) pace.rest()
    this.#holds.clear()
  }

  #sendNow (entry: Entry, pace: Pace | undefined): void {
    const frame = entry.request.prepare(entry.id)
    if (frame === undefined) return
    entry.isSent = true
    entry.round = this.#round
    this.#underWay += WEIGHTS[kindOf(entry)]
    pace?.spend()
    this.#send(frame, entry.request.bytes)
  }

  #onRefusal (entry: Entry, { code, retryAfterMs }: ServerFrames['error']): void {
    const now = this.clock.now()
    const named = readDelay(retryAfterMs)
    this.#unsend(entry)
    if (code !== 'rate_limited') {
      const { room } = entry.request
      const { refusals, until } = this.#holds.get(room) ?? { refusals: 0, until: 0 }
      // Requests that were under way together are refused together.
      if (until <= now) this.#holds.set(room, { refusals: refusals + 1, until: now + (named ?? 0) + backoff(refusals) })
      return
    }
    const pace = this.#paces[kindOf(entry)]
    const at = now + (named ?? RETRY_MS)
    if (entry.round === this.#round) {
      this.#round++
      this.#window = Math.max(1, this.#window >> 1)
      this.#refusals++
      pace.refuse(now, at)
    } else pace.delay(at)
    // A rate that is shared may be used up by others: only then do refusals follow without an accepted frame in between.
    const ms = (named ?? RETRY_MS) * (1 + Math.random() / 20) + (this.#refusals > 1 ? backoff(this.#refusals - 2) : 0)
    if (now + ms <= this.#heldUntil) return
    this.#heldUntil = now + ms
    this.#onHeld(ms)
  }

  #unsend (entry: Entry): boolean {
    const { isSent } = entry
    if (isSent) this.#underWay -= WEIGHTS[kindOf(entry)]
    entry.isSent = false
    return isSent
  }

  #remove (entry: Entry): boolean {
    this.#entries.delete(entry.id)
    return this.#unsend(entry)
  }
}

/** A random wait before a retry, ms. */
function backoff (refusals: number): number {
  return Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** refusals) * (0.5 + Math.random() / 2)
}

/** The allowance of the service that a request is counted on. */
function kindOf ({ request: { answer } }: Entry): 'messages' | 'control' {
  return answer === 'ack' || answer === 'history' ? 'messages' : 'control'
}
