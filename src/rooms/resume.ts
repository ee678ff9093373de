import { setTimeout as sleep } from 'node:timers/promises'
import type { HistoryPage } from '../broker/broker.ts'
import { sizeOf } from '../broker/history.ts'
import { RoomcastError } from '../errors.ts'
import type { Connection } from '../hub/connection.ts'
import type { Room } from '../hub/room.ts'
import type { Position } from '../protocol/position.ts'
import { Batch, RoomFrame } from '../transport/batch.ts'
import type { Continuity } from './continuity.ts'
import { type HistoryReads, PAGE_MESSAGES } from './history-reads.ts'

/** Time for a room that is behind to catch up, and for all pages of a resume, before the join is refused, ms. */
const PATIENCE_MS = 2_000
/** Pages that a resume reads at most; more than one only if messages exclude the connection. */
const MAX_PAGES = 40

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
      batch = new Batch(page.messages.map((message) => RoomFrame.ofMessage(room.label, message, page.position?.epoch)))
      this.#batches.set(page, batch)
    }
    return batch
  }
}

/**
 * Brings one connection from a position to the present of its room, with all missed messages or none.
 *
 * `begin` records the live messages. `read` reads the history and delivers to the room the messages that it has not received
 * yet. `result` joins the two without a gap or an overlap: the pages and the recorded messages end exactly where live
 * delivery to the new member begins.
 *
 * Only messages that the connection would have received count as missed. History is read page after page while the
 * messages for the connection fit on one page, up to `MAX_PAGES`.
 */
export class Resume {
  readonly #options: ResumesOptions
  readonly #batchOf: (page: HistoryPage) => Batch
  readonly #room: Room
  readonly #connection: Connection
  readonly #since: Position
  readonly #stopRecording: () => void
  /** The missed messages in history, in order; pages without a missed message are left out. */
  readonly #pages: HistoryPage[] = []
  /** Number and size of these messages. */
  #count = 0
  #bytes = 0
  #pagesRead = 0
  /** The offset up to which history was read. */
  #readTo: number
  /** Whether history was read to its top, and all missed messages in it fit on one page. */
  #isWhole = false

  constructor (options: ResumesOptions, batchOf: (page: HistoryPage) => Batch, room: Room, connection: Connection, since: Position) {
    this.#options = options
    this.#batchOf = batchOf
    this.#room = room
    this.#connection = connection
    this.#since = since
    this.#readTo = since.offset
    this.#stopRecording = room.record()
  }

  /** Reads the missed messages, and brings the room at least as far as they go; throws `unavailable`. Again, it continues. */
  async read (): Promise<void> {
    const { reads } = this.#options
    const { epoch } = this.#since
    const deadline = performance.now() + PATIENCE_MS
    this.#isWhole = false
    while (this.#pagesRead++ < MAX_PAGES && !this.#connection.ended) {
      const after = this.#readTo
      const page = await reads.read(this.#room.name, { after, epoch, limit: PAGE_MESSAGES, maxBytes: reads.pageBytes })
      const { position: top, next } = page
      if (top === undefined) return
      const fits = page.recovered && this.#take(page)
      if (fits && next !== undefined) {
        if (performance.now() > deadline) throw unavailable()
        this.#readTo = next
        continue
      }
      const { delivered } = this.#room
      if (delivered?.epoch !== top.epoch || (fits && delivered.offset < top.offset)) await this.#bringUp(page, top)
      if (fits) this.#readTo = top.offset
      this.#isWhole = fits
      return
    }
  }

  /**
   * The missed messages, up to the beginning of live delivery; undefined if `read` has to continue, because the room delivered
   * more meanwhile than it records. Call it within `Room.run`.
   */
  result (): Missed | undefined {
    if (!this.#isWhole) return NOT_RECOVERED
    const here = this.#room.position
    const after = this.#readTo
    if (here?.epoch !== this.#since.epoch || here.offset < after) return NOT_RECOVERED
    const recorded = this.#room.recorded.filter(({ offset }) => offset > after && offset <= here.offset)
    const live = recorded.filter(({ exclude }) => exclude !== this.#connection.origin)
    // Otherwise the connection would be a slow consumer at once.
    if (live.reduce((sum, { frame }) => sum + frame.bytes, 0) > this.#options.reads.pageBytes) return NOT_RECOVERED
    if (recorded.length !== here.offset - after) { // Offsets are contiguous.
      return this.#count + live.length > PAGE_MESSAGES || this.#pagesRead >= MAX_PAGES ? NOT_RECOVERED : undefined
    }
    const batches = [...this.#pages.map(this.#batchOf), new Batch(live.map(({ frame }) => frame))]
    return { recovered: true, count: this.#count + live.length, batches: batches.filter(({ bytes }) => bytes > 0) }
  }

  /** Stops recording. */
  end (): void {
    this.#stopRecording()
  }

  /** Takes the missed messages of a page; returns whether all those taken fit on one page, where one message always fits. */
  #take (page: HistoryPage): boolean {
    const messages = page.messages.filter(({ exclude }) => exclude !== this.#connection.origin)
    if (messages.length > 0) this.#pages.push(messages.length === page.messages.length ? page : { ...page, messages })
    this.#count += messages.length
    this.#bytes += messages.reduce((sum, message) => sum + sizeOf(message), 0)
    return this.#count <= PAGE_MESSAGES && (this.#count === 1 || this.#bytes <= this.#options.reads.pageBytes)
  }

  /** Brings the room to the end of the last page; the room drops duplicates that arrive later. */
  async #bringUp (page: HistoryPage, top: Position): Promise<void> {
    const room = this.#room
    const { continuity } = this.#options
    const deadline = Date.now() + PATIENCE_MS
    for (;;) {
      const isReached = page.recovered && room.delivered?.epoch === top.epoch && room.delivered.offset >= this.#readTo
      if (isReached && continuity.deliverPage(room, top.epoch, page.messages)) return
      continuity.check(room, top)
      const isWhole = await Promise.race([
        continuity.whole(room).then(() => true),
        sleep(Math.max(0, deadline - Date.now()), false, { ref: false })
      ])
      if (!isWhole) throw unavailable()
      // Still behind: the gap was an older one, and was filled with the history from before the page was read.
      if (room.delivered?.epoch !== top.epoch || room.delivered.offset >= top.offset) return
    }
  }
}

function unavailable (): RoomcastError {
  return new RoomcastError('unavailable', 'The room cannot be read; retry', PATIENCE_MS)
}
