import type { Writable } from 'node:stream'
import { CLOSE_CODES, CLOSE_TEXTS, type CloseReason } from '../protocol/close-codes.ts'
import type { Position } from '../protocol/position.ts'
import type { ServerFrames } from '../protocol/frames.ts'
import { formatPosition, NO_POSITION } from '../protocol/position.ts'
import type { Batch, RoomFrame } from './batch.ts'
import { drained } from './drained.ts'
import type { Transport } from './transport.ts'

/** A comment, which keeps an idle stream open and shows the client that it is alive (HTML, section 9.2.7). */
const HEARTBEAT = ':\n\n'

/**
 * The transport over server-sent events (HTML, section 9.2). Each frame is an event: its JSON is the data, and its type the
 * name. Messages have no name, so that `onmessage` gets them. `message`, `joined` and `reset` carry an id: the positions of
 * the stream's rooms in the order of their names. A client that reconnects with the id gets the missed messages.
 */
export class EventStreamTransport implements Transport {
  readonly answers = false
  readonly unfinished = false
  readonly #response: Writable
  readonly #closeTimeoutMs: number
  /** The client's positions by room; undefined where unknown. */
  readonly #positions: Map<string, Position | undefined>

  /**
   * @param rooms the requested rooms, sorted; frames of other rooms do not change the ids
   * @param closeTimeoutMs time for a client to take all events after the close, before the connection is destroyed
   */
  constructor (response: Writable, rooms: string[], closeTimeoutMs: number) {
    this.#response = response
    this.#closeTimeoutMs = closeTimeoutMs
    this.#positions = new Map(rooms.map((room) => [room, undefined]))
  }

  get kind () {
    return 'events' as const
  }

  get open (): boolean {
    return !this.#response.writableEnded && !this.#response.destroyed
  }

  get queued (): number {
    return this.#response.writableLength
  }

  /** Sets the client's position in a room of the stream, for the ids of later events. */
  place (room: string, position: Position | undefined): void {
    if (this.#positions.has(room)) this.#positions.set(room, position)
  }

  write (batch: Batch): void {
    if (!this.open) return
    const [frame] = batch.frames
    if (this.#positions.size > 1 || frame === undefined || !this.#positions.has(frame.room)) {
      this.#response.write(batch.frames.map((frame) => this.#encode(frame)).join(''))
      return
    }
    this.#response.write(batch.events(encodeAlone))
    const last = batch.frames.findLast(({ position }) => position !== undefined)
    if (last !== undefined) this.place(last.room, last.position)
  }

  /** Writes an id alone: it moves the id that an `EventSource` reconnects with, and no listener sees it (HTML, section 9.2.6). */
  skipTo (room: string, position: Position): void {
    if (!this.open || !this.#positions.has(room)) return
    const before = this.#id
    this.place(room, position)
    const id = this.#id
    if (id !== before) this.#response.write(`${id}\n`)
  }

  send (type: string, json: string): void {
    if (!this.open) return
    const id = type === 'joined' || type === 'reset' ? this.#id : ''
    // The time until an EventSource reconnects.
    const retry = type === 'shutdown' ? `retry: ${(JSON.parse(json) as ServerFrames['shutdown']).retryAfterMs}\n` : ''
    this.#response.write(`${retry}${id}${encode(type, json)}`)
  }

  ping (): void {
    if (this.open) this.#response.write(HEARTBEAT)
  }

  async drained (): Promise<void> {
    await drained(this.#response)
  }

  /** Ends the stream with a last event, which has the close code and the reason of a WebSocket. */
  close (reason: CloseReason): void {
    const event = { type: 'close', code: CLOSE_CODES[reason], reason: CLOSE_TEXTS[reason] }
    this.#response.end(encode('close', JSON.stringify(event)))
    const timer = setTimeout(() => { this.terminate() }, this.#closeTimeoutMs)
    timer.unref()
    this.#response.once('close', () => { clearTimeout(timer) })
  }

  terminate (): void {
    this.#response.destroy()
  }

  /** The line with the client's positions; empty without a position to resume from: for one room without history, or for no room. */
  get #id (): string {
    const positions = [...this.#positions.values()]
    if (positions.length < 2 && positions[0] === undefined) return ''
    return `id: ${positions.map((position) => formatPosition(position ?? NO_POSITION)).join()}\n`
  }

  #encode (frame: RoomFrame): string {
    if (frame.position !== undefined) this.place(frame.room, frame.position)
    return `${frame.type === 'system' ? '' : this.#id}${encode(frame.type, frame.json)}`
  }
}

/** Encodes an event. JSON has no line breaks, so it is one line of data. */
function encode (type: string, json: string): string {
  return type === 'message' ? `data: ${json}\n\n` : `event: ${type}\ndata: ${json}\n\n`
}

/** Encodes a batch for the streams of its room alone, which all get the same events. */
function encodeAlone ({ frames }: Batch): Buffer {
  const idOf = (position: Position | undefined): string => position === undefined ? '' : `id: ${formatPosition(position)}\n`
  return Buffer.from(frames.map(({ type, json, position }) => `${idOf(position)}${encode(type, json)}`).join(''))
}
