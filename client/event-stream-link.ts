import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import type { ClientFrames, ServerFrame } from '../src/protocol/frames.ts'
import { toCause } from './errors.ts'
import { EventStreams, type EventStreamsOptions } from './event-streams.ts'
import { answerLeave, type Link, type LinkEnd, type LinkListener, type LinkOptions, type SentFrame } from './link.ts'
import { checkFrame } from './parse-frame.ts'
import { PostQueue } from './post-queue.ts'
import { invalidProblem, Rest, toErrorFrame } from './rest.ts'

/** The options of an event-stream link. */
export type EventStreamLinkOptions = LinkOptions & Pick<EventStreamsOptions, 'fetch' | 'rooms'> & {
  /** Whether a publish that the link has taken may still be sent. */
  isCurrent: (id: number) => boolean
}

/** A link over server-sent events and POST, the fallback where WebSockets are blocked. A binary payload is in its frame, as base64. */
export class EventStreamLink implements Link {
  readonly hasStreams = true
  readonly #listener: LinkListener
  readonly #rest: Rest
  readonly #queue: PostQueue
  readonly #streams: EventStreams
  #hasEnded = false

  constructor ({ listener, ...options }: EventStreamLinkOptions) {
    this.#listener = listener
    this.#rest = new Rest({ ...options, onEnd: (end) => { this.#end(end) } })
    this.#queue = new PostQueue(
      this.#rest,
      options.origin,
      options.isCurrent,
      (frame) => { if (!this.#hasEnded) listener.onFrame(frame) },
      (error) => { this.#end({ code: 1006, cause: toCause(error) }) }
    )
    this.#streams = new EventStreams({
      ...options,
      isAlive: async () => await this.#rest.isAlive(),
      onFrame: (frame) => { this.#onFrame(frame) },
      onEnd: (end) => { this.#end(end) }
    })
    this.#streams.open()
  }

  /** Sends a frame; `bytes` are the payload of a binary publish. */
  send (frame: SentFrame, bytes?: Uint8Array<ArrayBuffer>): void {
    if (frame.type === 'join') this.#streams.join(frame.room, frame.id)
    else if (frame.type === 'leave') {
      this.#streams.leave(frame.room)
      answerLeave(frame, this.#listener)
    } else if (frame.type === 'publish') this.#queue.add(frame, bytes)
    else if (frame.type === 'history') void this.#readHistory(frame)
  }

  /** Ends the link without a report. */
  close (): void {
    this.#hasEnded = true
    this.#rest.stop()
    this.#streams.close()
  }

  #end (end: LinkEnd): void {
    if (this.#hasEnded) return
    this.close()
    this.#listener.onEnd(end)
  }

  #onFrame (frame: ServerFrame): void {
    if (frame.type === 'welcome') this.#queue.user = frame.user
    this.#listener.onFrame(frame)
  }

  async #readHistory ({ type, room, id, ...options }: ClientFrames['history']): Promise<void> {
    if (room === '.' || room === '..') {
      const frame = toErrorFrame(id, invalidProblem('invalid_room', `A room called ${room} cannot stand in a URL`))
      queueMicrotask(() => { this.#listener.onFrame(frame) }) // The owner of the request does not know its id yet.
      return
    }
    const query = new URLSearchParams(JSON.parse(JSON.stringify(options))) // Drops undefined values.
    const reply = await this.#rest.send(`/rooms/${encodeURIComponent(room)}/messages?${query}`)
    if (reply === undefined || this.#hasEnded) return
    try {
      const frame = reply.ok ? checkFrame({ ...reply.body, type, id }) : toErrorFrame(id, reply.problem)
      this.#listener.onFrame(frame as ServerFrame)
    } catch (error) {
      this.#end({ code: CLOSE_CODES.malformedFrame, cause: toCause(error) })
    }
  }
}
