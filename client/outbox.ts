import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import type { ClientFrame, ClientFrames, ServerFrames } from '../src/protocol/frames.ts'
import { RoomcastError } from './errors.ts'
import type { Published } from './published.ts'

/** The service remembers keys for five minutes: until then, ms, the same publish may be sent again. */
const KNOWN_MS = 4 * 60_000
/** A publish that was refused for the time being is sent again after this long, ms, unless the service says when. */
const RETRY_MS = 500
/** Publishes under way, at the most: fewer than the service takes at once, and half as many each time that it was too many. */
const WINDOW = 32
/** What may wait, in all rooms together, bytes. */
const MAX_BYTES = 4 * 1024 * 1024

/** What is published. */
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
  room: string
  frame: ClientFrames['publish']
  bytes: Uint8Array | undefined
  size: number
  /** Sent on the link that is open now. */
  sent: boolean
  /** Since it was sent for the first time. */
  timer: ReturnType<typeof setTimeout> | undefined
  resolve: (published: Published) => void
  reject: (error: RoomcastError) => void
}

/**
 * The publishes that have no answer yet. They are sent when their room is joined, in their order, and again with the
 * same keys on the next link: the service makes one message of them.
 */
export class Outbox {
  readonly #max: number
  readonly #send: (frame: ClientFrame, bytes?: Uint8Array) => void
  readonly #isJoined: (room: string) => boolean
  readonly #nextId: () => number
  /** By the id of the frame; in the order in which they were made. */
  readonly #pending = new Map<number, Pending>()
  /** Rooms in which something was refused for the time being, and `''` for all: what comes after it waits as well. */
  readonly #held = new Map<string, ReturnType<typeof setTimeout>>()
  #bytes = 0
  #window = WINDOW
  #underWay = 0

  constructor (max: number, send: (frame: ClientFrame, bytes?: Uint8Array) => void, isJoined: (room: string) => boolean, nextId: () => number) {
    this.#max = max
    this.#send = send
    this.#isJoined = isJoined
    this.#nextId = nextId
  }

  async publish ({ bytes, ...content }: Publication): Promise<Published> {
    const id = this.#nextId()
    // A copy: the same has to be sent again, whatever becomes of the caller's.
    const json = JSON.stringify({ type: 'publish', id, ...content, binary: bytes?.length })
    const size = bytes?.length ?? json.length
    if (this.#pending.size >= this.#max || this.#bytes + size > MAX_BYTES) {
      throw new RoomcastError('queue_full', 'Too many are waiting', { retryable: true })
    }
    return await new Promise((resolve, reject) => {
      this.#pending.set(id, { room: content.room, frame: JSON.parse(json) as ClientFrames['publish'], bytes: bytes?.slice(), size, sent: false, timer: undefined, resolve, reject })
      this.#bytes += size
      this.flush()
    })
  }

  /** Sends what waits, as far as it may be sent now. */
  flush (): void {
    for (const [id, pending] of this.#pending) {
      if (this.#underWay >= this.#window || this.#held.has('')) return
      const { room, sent, frame, bytes } = pending
      if (sent || this.#held.has(room) || !this.#isJoined(room)) continue
      pending.sent = true
      this.#underWay++
      pending.timer ??= setTimeout(() => {
        this.#take(id)?.reject(new RoomcastError('unknown', 'No answer for four minutes; the message may be in the room'))
        this.flush()
      }, KNOWN_MS)
      this.#send(frame, bytes)
    }
  }

  onAck ({ id, room, epoch, offset }: ServerFrames['ack']): void {
    this.#take(id)?.resolve({ room, ...(epoch !== undefined && { epoch }), ...(offset !== undefined && { offset }) })
    if (this.#window < WINDOW) this.#window++
    this.flush()
  }

  /** Says whether the refusal was one of a publish. What may succeed later is tried again by itself. */
  onError ({ id, code, text, retryable, retryAfterMs }: ServerFrames['error']): boolean {
    const pending = this.#pending.get(id as number)
    if (pending === undefined) return false
    if (!retryable) {
      this.#take(id)?.reject(new RoomcastError(code, text))
      this.flush()
      return true
    }
    const isTooFast = code === 'rate_limited'
    const room = isTooFast ? '' : pending.room
    this.#unsend(pending)
    if (this.#held.has(room)) return true
    if (isTooFast) this.#slowDown()
    this.#held.set(room, setTimeout(() => {
      this.#held.delete(room)
      this.flush()
    }, retryAfterMs ?? RETRY_MS))
    return true
  }

  /** The link is gone: everything is to be sent again, but for what ended it. */
  onDown (code: number): void {
    if (code === CLOSE_CODES.tooBig.code) this.#refuseLargest()
    if (code === CLOSE_CODES.rateLimited.code) this.#slowDown()
    for (const pending of this.#pending.values()) this.#unsend(pending)
    for (const timer of this.#held.values()) clearTimeout(timer)
    this.#held.clear()
  }

  /** Nothing of a room, or of any, will be sent any more. */
  reject (error: RoomcastError, room?: string): void {
    for (const [id, pending] of [...this.#pending]) if (room === undefined || pending.room === room) this.#take(id)?.reject(error)
    this.flush()
  }

  /** A message was too big for the service. It is one of those that were sent, and if it is not the largest, that one is too big as well. */
  #refuseLargest (): void {
    const [largest] = [...this.#pending].filter(([, { sent }]) => sent).sort(([, a], [, b]) => b.size - a.size)
    if (largest !== undefined) this.#take(largest[0])?.reject(new RoomcastError('message_too_large', 'Larger than the service takes'))
  }

  #slowDown (): void {
    this.#window = Math.ceil(this.#window / 2)
  }

  #unsend (pending: Pending): void {
    if (pending.sent) this.#underWay--
    pending.sent = false
  }

  #take (id: unknown): Pending | undefined {
    const pending = this.#pending.get(id as number)
    if (pending === undefined) return undefined
    this.#pending.delete(id as number)
    this.#unsend(pending)
    this.#bytes -= pending.size
    clearTimeout(pending.timer)
    return pending
  }
}
