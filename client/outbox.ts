import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import { Age, type Clock } from './clock.ts'
import { RoomcastError, toError } from './errors.ts'
import type { PublishFrame } from './link.ts'
import { invalid, toPayload } from './payload.ts'
import { toPosition } from './position.ts'
import type { Published, PublishOptions } from './published.ts'
import type { Request, Requests } from './requests.ts'

/** How long a publish may be retried, ms. The service remembers keys for five minutes. */
const KNOWN_MS = 4 * 60_000
/** The maximum of pending publishes in all rooms, bytes. */
const MAX_BYTES = 4 * 1024 * 1024

/** A publish without an answer. */
interface Pending {
  readonly id: number
  readonly room: string
  readonly size: number
  reject (error: RoomcastError): void
}

/** The settings of an outbox, and its listener. */
export interface OutboxOptions {
  clock: Clock
  requests: Requests
  /** The maximum of pending publishes. */
  max: number
  isJoined: (room: string) => boolean
  /** Called for each message that is in its room and is not echoed. */
  onPassed: (published: Published) => void
}

/**
 * The publishes without an answer. They are sent in order while their room is joined, and repeated with the same keys on the next
 * link. The service removes the duplicates.
 */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #pending = new Map<number, Pending>()
  #bytes = 0

  constructor (options: OutboxOptions) {
    this.#options = options
  }

  /**
   * Queues a publish. Rejects with `invalid_request` for a value or an option that cannot be sent, and with `queue_full` when too
   * many publishes are pending.
   */
  async publish (room: string, value: unknown, { event, echo, key }: PublishOptions & { key: string }): Promise<Published> {
    if (event !== undefined && typeof event !== 'string') throw invalid('"event" is a string')
    if (typeof key !== 'string') throw invalid('"key" is a string')
    const { json, bytes } = toPayload(value)
    const size = bytes?.length ?? json?.length ?? 0
    if (this.#pending.size >= this.#options.max || this.#bytes + size > MAX_BYTES) {
      throw new RoomcastError('queue_full', 'Too many publishes wait for their answers; wait for some of them', { retryable: true })
    }
    const content = bytes === undefined ? { data: JSON.parse(json ?? 'null') as unknown } : { binary: bytes.length }
    return await new Promise((resolve, reject) => {
      this.#add({ type: 'publish', id: 0, room, ...content, event, echo, key }, bytes, size, resolve, reject)
    })
  }

  /** The link has ended. All publishes are sent again, except one that was too big. */
  onDown (code: number): void {
    if (code === CLOSE_CODES.tooBig) this.#refuseLargest()
  }

  /** Rejects the publishes of a room, or of all rooms. */
  reject (error: RoomcastError, room?: string): void {
    for (const pending of this.#pending.values()) if (room === undefined || pending.room === room) this.#fail(pending, error)
    this.#options.requests.flush()
  }

  #add (
    frame: PublishFrame,
    bytes: Uint8Array<ArrayBuffer> | undefined,
    size: number,
    resolve: (published: Published) => void,
    reject: (error: RoomcastError) => void
  ): void {
    const { clock, requests, isJoined, onPassed } = this.#options
    const { room } = frame
    let age: Age | undefined
    let cancel = (): void => {}
    const request: Request<'ack'> = {
      answer: 'ack',
      room,
      bytes,
      isReady: () => isJoined(room),
      prepare: (id) => {
        if (age === undefined) {
          age = new Age(clock)
          cancel = clock.after(KNOWN_MS, () => {
            this.#fail(pending, unknown())
            requests.flush()
          })
        }
        // The machine may have slept, and timers with it.
        if (age.ms < KNOWN_MS) return { ...frame, id }
        this.#fail(pending, unknown())
      },
      onAnswer: (answer) => {
        this.#remove(pending)
        cancel()
        if (answer.type === 'error') {
          reject(toError(answer))
          return
        }
        const published = { room: answer.room, ...toPosition(answer) }
        if (frame.echo === false) onPassed(published)
        resolve(published)
      }
    }
    const pending: Pending = { id: requests.add(request), room, size, reject: (error) => { cancel(); reject(error) } }
    this.#pending.set(pending.id, pending)
    this.#bytes += size
  }

  /** Rejects the largest sent publish: if another one was too big for the service, so is this one. */
  #refuseLargest (): void {
    const { requests } = this.#options
    const [largest] = [...this.#pending.values()].filter(({ id }) => requests.isSent(id)).sort((a, b) => b.size - a.size)
    if (largest !== undefined) this.#fail(largest, new RoomcastError('message_too_large', 'The message is larger than the service takes'))
  }

  #fail (pending: Pending, error: RoomcastError): void {
    this.#remove(pending)
    this.#options.requests.remove(pending.id)
    pending.reject(error)
  }

  #remove (pending: Pending): void {
    if (this.#pending.delete(pending.id)) this.#bytes -= pending.size
  }
}

function unknown (): RoomcastError {
  return new RoomcastError('unknown', 'The publish had no answer for four minutes; the message may be in the room')
}
