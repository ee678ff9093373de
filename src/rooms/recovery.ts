import { setTimeout as sleep } from 'node:timers/promises'
import type { HistoryPage, StoredMessage } from '../broker/broker.ts'
import { RoomcastError } from '../errors.ts'
import type { Connection } from '../hub/connection.ts'
import type { Room } from '../hub/room.ts'
import type { Position } from '../protocol/envelope.ts'
import type { Continuity } from './continuity.ts'
import type { HistoryReads } from './history-reads.ts'

/** Messages that somebody may have missed and still be brought up, at the most: a page of history. */
export const PAGE_MESSAGES = 300
/** A room that is behind gets this long to catch up before a join is refused, ms. */
const PATIENCE_MS = 2_000

export interface RecoveryOptions {
  reads: HistoryReads
  continuity: Continuity
  /** Bytes of messages that may have been missed: of a page. */
  pageBytes: number
}

/** What `Connection.write` takes. */
type Frames = ReturnType<Room['batch']>

/** What somebody missed who comes back to a room. */
export interface Missed {
  /** Whether it is all there; if not, there is nothing. */
  recovered: boolean
  /** How many messages, without those that were not for the connection. */
  count: number
  /** Their frames, in order. */
  batches: Frames[]
}

const NOTHING: Missed = { recovered: false, count: 0, batches: [] }

/**
 * Brings members that come back to where their room is: with all that they missed, or with nothing.
 *
 * History is read after the room's subscription was confirmed. What the room is delivered meanwhile, it recalls; what
 * history has and the room has not got yet, it is given. So when the new member is let in, the page and what the
 * room recalls end exactly where live delivery to this member begins.
 */
export class Recovery {
  readonly #reads: HistoryReads
  readonly #continuity: Continuity
  readonly #pageBytes: number
  /** The frames of pages that several come back with. */
  readonly #batches = new WeakMap<HistoryPage, Frames>()

  constructor ({ reads, continuity, pageBytes }: RecoveryOptions) {
    this.#reads = reads
    this.#continuity = continuity
    this.#pageBytes = pageBytes
  }

  /**
   * Reads what was missed since a position, and has the room go at least as far. What it resolves with is to be called
   * within `Room.run`, and says what the connection gets before it is let in; the room has to `recall` until then.
   */
  async read (room: Room, connection: Connection, since: Position): Promise<() => Missed> {
    const page = await this.#reads.read(room.name, { after: since.offset, epoch: since.epoch, limit: PAGE_MESSAGES, maxBytes: this.#pageBytes })
    const top = page.position
    if (top === undefined) return () => NOTHING
    const whole = page.recovered && page.next === undefined
    if (room.delivered?.epoch !== top.epoch || (whole && room.delivered.offset < top.offset)) await this.#bringUp(room, page, since)
    if (!whole) return () => NOTHING
    return () => this.#missed(room, connection, since, page)
  }

  /** Has a room go on to where a page ends; what of that comes to it later, it drops. */
  async #bringUp (room: Room, page: HistoryPage, since: Position): Promise<void> {
    const top = page.position as Position
    const deadline = Date.now() + PATIENCE_MS
    for (;;) {
      const isReached = page.recovered && room.delivered?.epoch === top.epoch && room.delivered.offset >= since.offset
      if (isReached && this.#continuity.deliverPage(room, top.epoch, page.messages)) return
      this.#continuity.receive({ kind: 'position', room: room.name, position: top })
      const isWhole = await Promise.race([
        this.#continuity.whole(room).then(() => true),
        sleep(Math.max(0, deadline - Date.now()), false, { ref: false })
      ])
      if (!isWhole) throw new RoomcastError('unavailable', 'The room cannot be read; try again', PATIENCE_MS)
      // Still behind: the hole was an older one, and filled with what history had before the page was read.
      if (room.delivered?.epoch !== top.epoch || room.delivered.offset >= top.offset) return
    }
  }

  #missed (room: Room, connection: Connection, since: Position, page: HistoryPage): Missed {
    const top = page.position as Position
    const here = room.position
    if (here?.epoch !== since.epoch || here.offset < top.offset) return NOTHING
    const recalled = room.recalled.filter(({ offset }) => offset > top.offset && offset <= here.offset)
    // Offsets have no gaps. If these have one, more was delivered meanwhile than the room recalls.
    if (recalled.length !== here.offset - top.offset) return NOTHING
    if (recalled.reduce((sum, { frame }) => sum + frame.bytes, 0) > this.#pageBytes) return NOTHING // It would be a slow consumer at once.

    const messages = page.messages.filter(({ exclude }) => exclude !== connection.origin)
    const live = recalled.filter(({ exclude }) => exclude !== connection.origin)
    const batches = [
      messages.length === page.messages.length ? this.#batchOf(room, page) : batch(room, messages, top.epoch),
      room.batch(live.map(({ frame }) => frame))
    ]
    return { recovered: true, count: messages.length + live.length, batches: batches.filter(({ bytes }) => bytes > 0) }
  }

  /** The frames of a whole page, for everybody who came back with it: a thousand at once is an ordinary day. */
  #batchOf (room: Room, page: HistoryPage): Frames {
    let frames = this.#batches.get(page)
    if (frames === undefined) {
      frames = batch(room, page.messages, page.position?.epoch)
      this.#batches.set(page, frames)
    }
    return frames
  }
}

function batch (room: Room, messages: StoredMessage[], epoch: string | undefined): Frames {
  return room.batch(messages.map((message) => room.frame(message, epoch)))
}
