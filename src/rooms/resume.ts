import { setTimeout as sleep } from 'node:timers/promises'
import type { HistoryPage, StoredMessage } from '../broker/broker.ts'
import { RoomcastError } from '../errors.ts'
import type { Connection } from '../hub/connection.ts'
import type { Room } from '../hub/room.ts'
import type { Position } from '../protocol/position.ts'
import { Batch, RoomFrame } from '../transport/batch.ts'
import type { Continuity } from './continuity.ts'
import { type HistoryReads, PAGE_MESSAGES } from './history-reads.ts'

/** Time for a room that is behind to catch up before the join is refused, ms. */
const PATIENCE_MS = 2_000

/** The messages that a resuming member missed. */
export interface Missed {
  /** Whether all missed messages are here; otherwise none is. */
  recovered: boolean
  /** Their number, without messages that exclude this connection. */
  count: number
  /** Their frames, in order. */
  batches: Batch[]
}

const NOT_RECOVERED: Missed = { recovered: false, count: 0, batches: [] }

/** The parts that resumes are made with. */
export interface ResumesOptions {
  reads: HistoryReads
  continuity: Continuity
}

/** Begins resumes; keeps the frames of pages that several connections resume with. */
export class Resumes {
  readonly #options: ResumesOptions
  readonly #batches = new WeakMap<HistoryPage, Batch>()

  constructor (options: ResumesOptions) {
    this.#options = options
  }

  /** Begins to record the live messages of a room; its subscription must be confirmed. End the resume in any case. */
  begin (room: Room, connection: Connection, since: Position): Resume {
    return new Resume(this.#options, (page) => this.#batchOf(room, page), room, connection, since)
  }

  /** The frames of a whole page, built once: many connections resume with the same page after an instance was lost. */
  #batchOf (room: Room, page: HistoryPage): Batch {
    let batch = this.#batches.get(page)
    if (batch === undefined) {
      batch = toBatch(room, page.messages, page.position?.epoch)
      this.#batches.set(page, batch)
    }
    return batch
  }
}

/**
 * Brings one connection from a position to the present of its room, with all missed messages or none.
 *
 * `begin` records the live messages. `read` reads the history and delivers to the room the messages that it has not received
 * yet. `result` joins the two without a gap or an overlap: the page and the recorded messages end exactly where live
 * delivery to the new member begins.
 */
export class Resume {
  readonly #options: ResumesOptions
  readonly #batchOf: (page: HistoryPage) => Batch
  readonly #room: Room
  readonly #connection: Connection
  readonly #since: Position
  readonly #stopRecording: () => void
  /** The page with all missed messages, and its end; undefined if no page has them all. */
  #missed: { page: HistoryPage, top: Position } | undefined

  constructor (options: ResumesOptions, batchOf: (page: HistoryPage) => Batch, room: Room, connection: Connection, since: Position) {
    this.#options = options
    this.#batchOf = batchOf
    this.#room = room
    this.#connection = connection
    this.#since = since
    this.#stopRecording = room.record()
  }

  /** Reads the missed messages, and brings the room at least as far as they go; throws `unavailable`. */
  async read (): Promise<void> {
    const { reads } = this.#options
    const { offset: after, epoch } = this.#since
    const page = await reads.read(this.#room.name, { after, epoch, limit: PAGE_MESSAGES, maxBytes: reads.pageBytes })
    const { position: top } = page
    if (top === undefined) return
    const whole = page.recovered && page.next === undefined
    const { delivered } = this.#room
    if (delivered?.epoch !== top.epoch || (whole && delivered.offset < top.offset)) await this.#bringUp(page, top)
    if (whole) this.#missed = { page, top }
  }

  /** The missed messages, up to the beginning of live delivery. Call it within `Room.run`. */
  result (): Missed {
    if (this.#missed === undefined) return NOT_RECOVERED
    const { page, top } = this.#missed
    const here = this.#room.position
    if (here?.epoch !== this.#since.epoch || here.offset < top.offset) return NOT_RECOVERED
    const recorded = this.#room.recorded.filter(({ offset }) => offset > top.offset && offset <= here.offset)
    // Offsets are contiguous. Another number means that the room delivered more meanwhile than it records.
    if (recorded.length !== here.offset - top.offset) return NOT_RECOVERED
    // Otherwise the connection would be a slow consumer at once.
    if (recorded.reduce((sum, { frame }) => sum + frame.bytes, 0) > this.#options.reads.pageBytes) return NOT_RECOVERED

    const { origin } = this.#connection
    const messages = page.messages.filter(({ exclude }) => exclude !== origin)
    const live = recorded.filter(({ exclude }) => exclude !== origin)
    const batches = [
      messages.length === page.messages.length ? this.#batchOf(page) : toBatch(this.#room, messages, top.epoch),
      new Batch(live.map(({ frame }) => frame))
    ]
    return { recovered: true, count: messages.length + live.length, batches: batches.filter(({ bytes }) => bytes > 0) }
  }

  /** Stops recording. */
  end (): void {
    this.#stopRecording()
  }

  /** Brings the room to the end of a page; the room drops duplicates that arrive later. */
  async #bringUp (page: HistoryPage, top: Position): Promise<void> {
    const room = this.#room
    const { continuity } = this.#options
    const deadline = Date.now() + PATIENCE_MS
    for (;;) {
      const isReached = page.recovered && room.delivered?.epoch === top.epoch && room.delivered.offset >= this.#since.offset
      if (isReached && continuity.deliverPage(room, top.epoch, page.messages)) return
      continuity.check(room, top)
      const isWhole = await Promise.race([
        continuity.whole(room).then(() => true),
        sleep(Math.max(0, deadline - Date.now()), false, { ref: false })
      ])
      if (!isWhole) throw new RoomcastError('unavailable', 'The room cannot be read; retry', PATIENCE_MS)
      // Still behind: the gap was an older one, and was filled with the history from before the page was read.
      if (room.delivered?.epoch !== top.epoch || room.delivered.offset >= top.offset) return
    }
  }
}

function toBatch (room: Room, messages: StoredMessage[], epoch: string | undefined): Batch {
  return new Batch(messages.map((message) => RoomFrame.ofMessage(room.label, message, epoch)))
}
