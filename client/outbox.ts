import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import type { ServerFrames } from '../src/protocol/frames.ts'
import type { Answers } from './answers.ts'
import { RoomcastError, toError } from './errors.ts'
import type { Link, PublishFrame } from './link.ts'
import { toPosition } from './position.ts'
import type { Published } from './published.ts'

/** How long a publish may be retried, ms. The service remembers keys for five minutes. */
const KNOWN_MS = 4 * 60_000
/** The wait before the retry of a refused publish, ms, unless the service gives one. */
const RETRY_MS = 500
/** The maximum of unanswered publishes on a connection. It stays below the service's burst; each `rate_limited` halves it. */
const WINDOW = 32
/** The maximum of pending publishes in all rooms, bytes. */
const MAX_BYTES = 4 * 1024 * 1024

/** A publish as the caller gives it. */
export interface Publication {
  room: string
  data?: unknown
  bytes?: Uint8Array | undefined
  event?: string | undefined
  key: string
  echo?: boolean | undefined
}

/** A publish without an answer. */
interface Pending {
  frame: PublishFrame
  bytes: Uint8Array<ArrayBuffer> | undefined
  size: number
  /** Whether it was sent on the current link. */
  sent: boolean
  /** Runs since the first attempt. */
  timer: ReturnType<typeof setTimeout> | undefined
  resolve: (published: Published) => void
  reject: (error: RoomcastError) => void
}

/**
 * The publishes without an answer. It sends them in order while their room is joined, and repeats them with the same keys on the
 * next link. The service removes the duplicates.
 */
export class Outbox {
  readonly #max: number
  readonly #answers: Answers
  readonly #send: Link['send']
  readonly #isJoined: (room: string) => boolean
  readonly #onPassed: (published: Published) => void
  readonly #pending = new Set<Pending>()
  /** The rooms that wait for a retry, so that no later publish overtakes it; `''` stands for all rooms. */
  readonly #held = new Map<string, ReturnType<typeof setTimeout>>()
  #bytes = 0
  #window = WINDOW
  #underWay = 0

  /** @param onPassed called for each message that is in its room and is not echoed */
  constructor (
    max: number,
    answers: Answers,
    send: Link['send'],
    isJoined: (room: string) => boolean,
    onPassed: (published: Published) => void
  ) {
    this.#max = max
    this.#answers = answers
    this.#send = send
    this.#isJoined = isJoined
    this.#onPassed = onPassed
  }

  /** Queues a publish. Rejects with `queue_full` when too many are pending. */
  async publish ({ bytes, ...content }: Publication): Promise<Published> {
    const id = this.#answers.nextId()
    // The caller may change its objects before a retry.
    const json = JSON.stringify({ type: 'publish', id, ...content, binary: bytes?.length })
    const size = bytes?.length ?? json.length
    if (this.#pending.size >= this.#max || this.#bytes + size > MAX_BYTES) {
      throw new RoomcastError('queue_full', 'Too many are waiting', { retryable: true })
    }
    return await new Promise((resolve, reject) => {
      const pending: Pending = { frame: JSON.parse(json), bytes: bytes?.slice(), size, sent: false, timer: undefined, resolve, reject }
      this.#answers.expect(id, (answer) => {
        if (answer.type === 'ack') this.#onAck(pending, answer)
        else if (answer.type === 'error') this.#onError(pending, answer)
      })
      this.#pending.add(pending)
      this.#bytes += size
      this.flush()
    })
  }

  /** Sends the publishes that may be sent now. */
  flush (): void {
    for (const pending of this.#pending) {
      if (this.#underWay >= this.#window || this.#held.has('')) return
      const { frame, bytes, sent } = pending
      if (sent || this.#held.has(frame.room) || !this.#isJoined(frame.room)) continue
      pending.sent = true
      this.#underWay++
      pending.timer ??= setTimeout(() => {
        this.#fail(pending, new RoomcastError('unknown', 'No answer for four minutes; the message may be in the room'))
        this.flush()
      }, KNOWN_MS)
      this.#send(frame, bytes)
    }
  }

  /** The link has ended: all publishes are sent again, except the one that ended it. */
  onDown (code: number): void {
    if (code === CLOSE_CODES.tooBig.code) this.#refuseLargest()
    if (code === CLOSE_CODES.rateLimited.code) this.#slowDown()
    for (const pending of this.#pending) this.#unsend(pending)
    for (const timer of this.#held.values()) clearTimeout(timer)
    this.#held.clear()
  }

  /** Rejects the publishes of a room, or of all rooms. */
  reject (error: RoomcastError, room?: string): void {
    for (const pending of this.#pending) if (room === undefined || pending.frame.room === room) this.#fail(pending, error)
    this.flush()
  }

  #onAck (pending: Pending, ack: ServerFrames['ack']): void {
    this.#remove(pending)
    const published = { room: ack.room, ...toPosition(ack) }
    if (pending.frame.echo === false) this.#onPassed(published)
    pending.resolve(published)
    if (this.#window < WINDOW) this.#window++
    this.flush()
  }

  #onError (pending: Pending, error: ServerFrames['error']): void {
    if (!error.retryable) {
      this.#fail(pending, toError(error))
      this.flush()
      return
    }
    const isTooFast = error.code === 'rate_limited'
    const room = isTooFast ? '' : pending.frame.room
    this.#unsend(pending)
    if (this.#held.has(room)) return
    if (isTooFast) this.#slowDown()
    this.#held.set(room, setTimeout(() => {
      this.#held.delete(room)
      this.flush()
    }, error.retryAfterMs ?? RETRY_MS))
  }

  /** Rejects the largest sent publish: if another one was too big for the service, so is this one. */
  #refuseLargest (): void {
    const [largest] = [...this.#pending].filter(({ sent }) => sent).sort((a, b) => b.size - a.size)
    if (largest !== undefined) this.#fail(largest, new RoomcastError('message_too_large', 'Larger than the service takes'))
  }

  #slowDown (): void {
    this.#window = Math.ceil(this.#window / 2)
  }

  #unsend (pending: Pending): void {
    if (pending.sent) this.#underWay--
    pending.sent = false
  }

  #fail (pending: Pending, error: RoomcastError): void {
    this.#remove(pending)
    pending.reject(error)
  }

  #remove (pending: Pending): void {
    this.#pending.delete(pending)
    this.#answers.forget(pending.frame.id)
    this.#unsend(pending)
    this.#bytes -= pending.size
    clearTimeout(pending.timer)
  }
}
