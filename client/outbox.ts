import type { ClientFrame, ServerFrames } from '../src/protocol/frames.ts'
import { RoomcastError } from './errors.ts'

/** The service remembers keys for five minutes: until then, ms, the same publish may be sent again. */
const KNOWN_MS = 4 * 60_000
/** A publish that was refused for the time being is sent again after this long, ms, unless the service says when. */
const RETRY_MS = 500
/** What may wait, in all rooms together, bytes. */
const MAX_BYTES = 4 * 1024 * 1024

/** Where a publish is in its room. There is no position in a room without history. */
export interface Published {
  readonly room: string
  readonly epoch?: string
  readonly offset?: number
}

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
interface Pending extends Publication {
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
  /** Rooms in which something was refused for the time being: what comes after it waits as well. */
  readonly #held = new Set<string>()
  #bytes = 0

  constructor (max: number, send: (frame: ClientFrame, bytes?: Uint8Array) => void, isJoined: (room: string) => boolean, nextId: () => number) {
    this.#max = max
    this.#send = send
    this.#isJoined = isJoined
    this.#nextId = nextId
  }

  async publish (publication: Publication): Promise<Published> {
    const size = publication.bytes?.length ?? JSON.stringify(publication.data).length
    if (this.#pending.size >= this.#max || this.#bytes + size > MAX_BYTES) {
      throw new RoomcastError('queue_full', 'Too many publishes are waiting', { retryable: true })
    }
    return await new Promise((resolve, reject) => {
      const id = this.#nextId()
      this.#pending.set(id, { ...publication, size, sent: false, timer: undefined, resolve, reject })
      this.#bytes += size
      this.flush(publication.room)
    })
  }

  /** Sends what waits for a room. */
  flush (room: string): void {
    if (this.#held.has(room) || !this.#isJoined(room)) return
    for (const [id, pending] of this.#pending) {
      if (pending.room !== room || pending.sent) continue
      const { data, bytes, event, key, echo } = pending
      pending.sent = true
      pending.timer ??= setTimeout(() => {
        this.#take(id)?.reject(new RoomcastError('unknown', 'There was no answer for four minutes; the message may be in the room'))
      }, KNOWN_MS)
      this.#send({ type: 'publish', id, room, key, ...(bytes === undefined ? { data } : { binary: bytes.length }), ...(event !== undefined && { event }), ...(echo !== undefined && { echo }) }, bytes)
    }
  }

  /** Says whether the frame was an answer to a publish. */
  onAck ({ id, room, epoch, offset }: ServerFrames['ack']): boolean {
    const pending = this.#take(id)
    pending?.resolve({ room, ...(epoch !== undefined && { epoch }), ...(offset !== undefined && { offset }) })
    return pending !== undefined
  }

  /** The same with a refusal. What may succeed later is tried again by itself. */
  onError ({ id, code, text, retryable, retryAfterMs }: ServerFrames['error']): boolean {
    const pending = this.#pending.get(id as number)
    if (pending === undefined) return false
    if (!retryable) {
      this.#take(id)?.reject(new RoomcastError(code, text))
      return true
    }
    const { room } = pending
    pending.sent = false
    if (this.#held.has(room)) return true
    this.#held.add(room)
    setTimeout(() => {
      this.#held.delete(room)
      this.flush(room)
    }, retryAfterMs ?? RETRY_MS)
    return true
  }

  /** The link is gone: everything is to be sent again. */
  onDown (tooBig: boolean): void {
    if (tooBig) this.#refuseLargest()
    for (const pending of this.#pending.values()) pending.sent = false
  }

  /** Nothing of a room, or of any, will be sent any more. */
  reject (error: RoomcastError, room?: string): void {
    for (const [id, pending] of [...this.#pending]) if (room === undefined || pending.room === room) this.#take(id)?.reject(error)
  }

  /** A message was too big for the service. It is one of those that were sent, and if it is not the largest, that one is too big as well. */
  #refuseLargest (): void {
    const [largest] = [...this.#pending].filter(([, { sent }]) => sent).sort(([, a], [, b]) => b.size - a.size)
    if (largest !== undefined) this.#take(largest[0])?.reject(new RoomcastError('message_too_large', 'The message is larger than the service takes'))
  }

  #take (id: unknown): Pending | undefined {
    const pending = this.#pending.get(id as number)
    if (pending === undefined) return undefined
    this.#pending.delete(id as number)
    this.#bytes -= pending.size
    clearTimeout(pending.timer)
    return pending
  }
}
