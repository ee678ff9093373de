import { ERRORS, type RoomcastError } from '../errors.ts'
import type { CloseReason } from '../protocol/close-codes.ts'
import { encodeFrame } from '../protocol/codec.ts'
import type { FrameId, ServerFrame } from '../protocol/frames.ts'
import type { Position } from '../protocol/position.ts'
import type { Batch } from '../transport/batch.ts'
import type { Transport } from '../transport/transport.ts'
import type { Membership } from './members.ts'

/** Time for a slow consumer to take its close frame, ms. Behind a full send queue it rarely does. */
const SLOW_CONSUMER_GRACE_MS = 2_000

/** The parts and settings of a connection. */
export interface ConnectionOptions {
  id: string
  /** The client's own name across its connections, or the id. */
  origin: string
  user: string
  /** Instant at which the connection ends, ms since 1970. */
  expiresAt: number
  transport: Transport
  /** Largest send queue, bytes; 0 is no limit. */
  maxQueueBytes: number
  /** Called once, when the connection takes no more frames: it must leave its rooms. */
  onEnd: (connection: Connection) => void
}

/** One open WebSocket or event stream. */
export class Connection {
  readonly id: string
  readonly origin: string
  readonly user: string
  expiresAt: number
  /** The sweep of the client's latest sign of life: `Hub.tick`. */
  heard = 0
  /** The number of the connection. Modulo the period it gives the sweep of its ping, so that pings are spread. */
  slot = 0
  /** Whether the last heartbeat found a message begun and not finished. */
  wasUnfinished = false
  /** The memberships by the room's real name, in the order of the joins. */
  readonly memberships = new Map<string, Membership>()
  readonly #transport: Transport
  readonly #maxQueueBytes: number
  readonly #onEnd: (connection: Connection) => void
  #ended = false
  #closeReason: CloseReason | undefined

  constructor (options: ConnectionOptions) {
    this.id = options.id
    this.origin = options.origin
    this.user = options.user
    this.expiresAt = options.expiresAt
    this.#transport = options.transport
    this.#maxQueueBytes = options.maxQueueBytes > 0 ? options.maxQueueBytes : Infinity
    this.#onEnd = options.onEnd
  }

  /** The kind of its transport. */
  get transport (): Transport['kind'] {
    return this.#transport.kind
  }

  /** Why the server closed it; undefined while it is open, and if the client or the network ended it. */
  get closeReason (): CloseReason | undefined {
    return this.#closeReason
  }

  /** Whether it takes no more frames. */
  get ended (): boolean {
    return this.#ended
  }

  get unfinished (): boolean {
    return this.#transport.unfinished
  }

  /** Whether the client answers pings. */
  get answers (): boolean {
    return this.#transport.answers
  }

  /** Writes frames about a room, in its order. Like every write, it closes a slow consumer instead. */
  write (batch: Batch): void {
    if (this.#takesMore()) this.#transport.write(batch)
  }

  /** Moves the client's position in a room past messages that exclude the connection. */
  skipTo (room: string, position: Position): void {
    // Behind a full send queue it is left out: a later message has the position as well.
    if (!this.#ended && this.#transport.queued <= this.#maxQueueBytes) this.#transport.skipTo(room, position)
  }

  /** Resolves when the send queue has room for a page of history, or the transport has ended. */
  async drained (): Promise<void> {
    if (this.#transport.queued > this.#maxQueueBytes / 4) await this.#transport.drained()
  }

  /** Sends a frame that concerns no room. Frames about a room go through `Room.run`, in its order. */
  send (frame: ServerFrame): void {
    this.sendJson(frame.type, encodeFrame(frame))
  }

  /** Sends the refusal of a frame, or of a room of the URL. */
  sendError ({ code, message, retryAfterMs }: Pick<RoomcastError, 'code' | 'message' | 'retryAfterMs'>, id?: FrameId): void {
    this.send({ type: 'error', code, text: message, retryable: ERRORS[code].retryable, retryAfterMs, id })
  }

  /** Sends a frame that is already JSON. */
  sendJson (type: ServerFrame['type'], json: string): void {
    if (this.#takesMore()) this.#transport.send(type, json)
  }

  ping (): void {
    if (this.#takesMore()) this.#transport.ping()
  }

  /** Closes the connection with a reason; nothing is delivered from here on. */
  close (reason: CloseReason): void {
    if (!this.#ended) this.#closeReason = reason
    this.end()
    if (this.#transport.open) this.#transport.close(reason)
  }

  /** Destroys the connection. */
  terminate (): void {
    this.end()
    this.#transport.terminate()
  }

  /** Notes why the transport closes the connection: the client broke the protocol. */
  failed (reason: CloseReason): void {
    this.#closeReason ??= reason
  }

  /** Returns whether another frame may be written; closes the client as a slow consumer if its send queue is too long. */
  #takesMore (): boolean {
    if (this.#ended) return false
    if (this.#transport.queued <= this.#maxQueueBytes) return true
    this.close('slowConsumer')
    setTimeout(() => { this.#transport.terminate() }, SLOW_CONSUMER_GRACE_MS).unref()
    return false
  }

  /** Ends the connection, whichever side closed it: it leaves its rooms. */
  end (): void {
    if (this.#ended) return
    this.#ended = true
    this.#onEnd(this)
  }
}
