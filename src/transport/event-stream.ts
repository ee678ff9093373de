import type { ServerResponse } from 'node:http'
import { CLOSE_CODES, type CloseReason } from '../protocol/close-codes.ts'
import type { Position } from '../protocol/position.ts'
import type { ServerFrames } from '../protocol/frames.ts'
import { formatPosition, NO_POSITION } from '../protocol/position.ts'
import type { Batch, RoomFrame } from './batch.ts'
import { drained } from './drained.ts'
import type { Transport } from './transport.ts'

/** A comment: what keeps an idle stream open, and shows a client that it is there (HTML, section 9.2.7). */
const HEARTBEAT = ':\n\n'

/**
 * The transport over server-sent events (HTML, section 9.2). Each frame is an event: its JSON is the data, and its type the
 * name, but for messages, which have none so that `onmessage` gets them. `message`, `joined` and `reset` carry an id: the
 * positions of the stream's rooms in the order of their names, so that a client which comes back with it gets what it missed.
 */
export class EventStreamTransport implements Transport {
  readonly answers = false
  readonly unfinished = false
  readonly #response: ServerResponse
  readonly #closeTimeoutMs: number
  /** By room; undefined where it is not known. */
  readonly #positions: Map<string, Position | undefined>

  /**
   * @param rooms that the stream was asked for, sorted; what it gets of others has no place in the ids
   * @param closeTimeoutMs a client that has not taken everything by then is destroyed
   */
  constructor (response: ServerResponse, rooms: string[], closeTimeoutMs: number) {
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

  /** From here on ids say that the client is at a position in a room of the stream. */
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

  send (type: string, json: string): void {
    if (!this.open) return
    const id = type === 'joined' || type === 'reset' ? this.#id : ''
    // How long an EventSource waits before it comes back by itself.
    const retry = type === 'shutdown' ? `retry: ${(JSON.parse(json) as ServerFrames['shutdown']).retryAfterMs}\n` : ''
    this.#response.write(`${retry}${id}${encode(type, json)}`)
  }

  ping (): void {
    if (this.open) this.#response.write(HEARTBEAT)
  }

  async drained (): Promise<void> {
    await drained(this.#response)
  }

  /** An event stream has no close codes; its last event says what a WebSocket's would. */
  close (reason: CloseReason): void {
    const { code, reason: text } = CLOSE_CODES[reason]
    this.#response.end(encode('close', JSON.stringify({ type: 'close', code, reason: text })))
    const timer = setTimeout(() => { this.terminate() }, this.#closeTimeoutMs)
    timer.unref()
    this.#response.once('close', () => { clearTimeout(timer) })
  }

  terminate (): void {
    this.#response.destroy()
  }

  /** The line that says where the client is; empty where there is nothing to come back with: a room without history alone, or none. */
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

/** JSON has no line breaks of its own, so it is one line of data. */
function encode (type: string, json: string): string {
  return type === 'message' ? `data: ${json}\n\n` : `event: ${type}\ndata: ${json}\n\n`
}

/** The events of a batch for streams that have its room alone, all of which get the same. */
function encodeAlone ({ frames }: Batch): Buffer {
  const idOf = (position: Position | undefined): string => position === undefined ? '' : `id: ${formatPosition(position)}\n`
  return Buffer.from(frames.map(({ type, json, position }) => `${idOf(position)}${encode(type, json)}`).join(''))
}
