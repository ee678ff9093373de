import type { ServerFrames } from '../../src/protocol/frames.ts'
import { encodeBase64 } from '../base64.ts'
import type { Position } from '../position.ts'

/** The bounds of a page, as those of the service. A message counts with its content and 200 bytes. */
const PAGE_MESSAGES = 300
const PAGE_BYTES = 512 * 1_024
/** How long a position is kept after a publish and after a read, in a room without members, ms. */
const KEPT_MS = 86_400_000
const FRESH_MS = 600_000

/** The content of a message, with exactly one of `text`, `data` and `bytes`. */
export interface Content {
  text?: string
  data?: unknown
  bytes?: Uint8Array | undefined
  event?: string | undefined
}

/** A message in its room. */
export interface Stored {
  frame: ServerFrames['message']
  bytes: Uint8Array | undefined
  /** The origin whose connections do not get it. */
  exclude: string | undefined
}

/** How much of a room is remembered. */
export interface HistoryLimits {
  /** 0 for no history: then the messages have no positions. */
  messages: number
  ttlMs: number
}

/** The order of a room: its epoch, its latest offset, and the messages that it remembers. */
export class History {
  epoch: string
  offset = 0
  readonly #limits: HistoryLimits
  #messages: Stored[] = []
  #time: number
  #until: number

  /** @param time the time of the service, ms since 1970 */
  constructor (epoch: string, limits: HistoryLimits, time: number) {
    this.epoch = epoch
    this.#limits = limits
    this.#time = time
    this.#until = time + FRESH_MS
  }

  /** The position after the latest message; undefined in a room without history. */
  get position (): Position | undefined {
    return this.#limits.messages > 0 ? { epoch: this.epoch, offset: this.offset } : undefined
  }

  /** Whether the service has forgotten the position of a room without members. */
  isOver (time: number): boolean {
    return this.#until <= time
  }

  /** Keeps the position for a while after the last member has left. */
  keep (time: number): void {
    this.#until = Math.max(this.#until, time + FRESH_MS)
  }

  /** Gives a message its place. */
  place (room: string, from: string, { bytes, ...content }: Content, exclude: string | undefined, time: number): Stored {
    this.#time = Math.max(this.#time, time)
    const hasPosition = this.position !== undefined
    if (hasPosition) this.offset++
    const frame: ServerFrames['message'] = {
      type: 'message',
      room,
      ...(hasPosition && { offset: this.offset }),
      time: this.#time,
      from,
      ...content,
      ...(bytes !== undefined && { binary: bytes.length })
    }
    const stored = { frame, bytes, exclude }
    this.#until = time + Math.max(KEPT_MS, 2 * this.#limits.ttlMs)
    if (hasPosition) this.#messages.push(stored)
    return stored
  }

  /** The remembered messages. */
  messages (time: number): readonly Stored[] {
    const first = Math.max(this.#messages.length - this.#limits.messages, 0)
    this.#messages = this.#messages.slice(first).filter(({ frame }) => frame.time > time - this.#limits.ttlMs)
    return this.#messages
  }

  /** Forgets the messages. */
  forget (): void {
    this.#messages = []
  }

  /** The messages of another origin after a position; undefined where they are not all there, or more than a page. */
  missed ({ epoch, offset }: Position, origin: string, time: number): Stored[] | undefined {
    const kept = this.messages(time)
    if (this.position === undefined || epoch !== this.epoch || !this.#hasAllAfter(offset, kept)) return undefined
    const missed = kept.filter(({ frame, exclude }) => offsetOf(frame) > offset && exclude !== origin)
    const bytes = missed.reduce((sum, message) => sum + sizeOf(message), 0)
    return missed.length > PAGE_MESSAGES || (bytes > PAGE_BYTES && missed.length > 1) ? undefined : missed
  }

  /** A page of the history, in the form of its frame. */
  page (
    { after, before, epoch, limit }: { after?: number, before?: number, epoch?: string, limit?: number },
    time: number
  ): Pick<ServerFrames['history'], 'recovered' | 'messages' | 'next'> {
    if (this.position === undefined || (epoch !== undefined && epoch !== this.epoch)) return { recovered: false, messages: [] }
    const kept = this.messages(time)
    const recovered = after === undefined || this.#hasAllAfter(after, kept)
    const range = kept.filter(({ frame }) => offsetOf(frame) > (after ?? -1) && offsetOf(frame) < (before ?? Infinity))
    if (after === undefined) range.reverse()
    let bytes = 0
    const end = range.findIndex((message, i) => (
      i >= Math.min(limit ?? PAGE_MESSAGES, PAGE_MESSAGES) || ((bytes += sizeOf(message)) > PAGE_BYTES && i > 0)
    ))
    const messages = end === -1 ? range : range.slice(0, end)
    const last = messages.at(-1)
    if (after === undefined) messages.reverse()
    return { recovered, messages: messages.map(toHistoryMessage), ...(end > 0 && last !== undefined && { next: offsetOf(last.frame) }) }
  }

  #hasAllAfter (offset: number, kept: readonly Stored[]): boolean {
    return offset === this.offset || (offset < this.offset && kept[0] !== undefined && offsetOf(kept[0].frame) <= offset + 1)
  }
}

function offsetOf ({ offset = 0 }: ServerFrames['message']): number {
  return offset
}

function sizeOf ({ frame, bytes }: Stored): number {
  const { event, text, data } = frame
  return JSON.stringify([frame.from, event, text, data]).length + (bytes?.length ?? 0) + 200
}

function toHistoryMessage ({ frame: { binary, ...frame }, bytes }: Stored): ServerFrames['history']['messages'][number] {
  return { ...frame, offset: offsetOf(frame), ...(bytes !== undefined && { base64: encodeBase64(bytes) }) }
}
