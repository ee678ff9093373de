import { setTimeout as sleep } from 'node:timers/promises'
import type { Broker, StoredMessage } from '../broker/broker.ts'
import type { Hub } from '../hub/hub.ts'
import type { Room } from '../hub/room.ts'
import type { Envelope, MessageEnvelope, Position } from '../protocol/envelope.ts'
import type { HistoryReads } from './history-reads.ts'

/** What arrives while a hole is filled is held up to these bounds; beyond them it is dropped, and read from history. */
const MAX_HELD_MESSAGES = 1_000
const MAX_HELD_BYTES = 4 * 1024 * 1024
/** A read of history has at most this many messages. */
const PAGE_MESSAGES = 500
const PAGE_BYTES = 1024 * 1024
/** Until a hole is tried again that could not be filled because the broker was away, ms. */
const RETRY_MS = 500

export interface ContinuityOptions {
  hub: Hub
  broker: Broker
  reads: HistoryReads
  /** Called when a room is done with, which may be empty by now. */
  release: (room: Room) => void
  onError: (error: unknown) => void
}

/** A hole in what was delivered to a room, being filled. */
interface Hole {
  /** Resolves when it is filled, or declared. */
  filled: Promise<void>
  held: MessageEnvelope[]
  heldBytes: number
  /** Something came that was not held. */
  overflowed: boolean
}

/**
 * Stands between the broker, which on a bad day loses and repeats messages, and the members of a room, who see one
 * unbroken order. Each message is checked against the position that was delivered before it: the next one goes
 * on, one that was there before is dropped, and when one is missing, everything waits until history has filled the hole.
 * Where history cannot, and where the room began again under another epoch, the members are told by a `reset`.
 */
export class Continuity {
  /** Since the start: holes found, holes filled, resets, and messages that came when the room had them already. */
  readonly counts = { holes: 0, filled: 0, resets: 0, duplicates: 0 }
  readonly #hub: Hub
  readonly #broker: Broker
  readonly #reads: HistoryReads
  readonly #release: (room: Room) => void
  readonly #onError: (error: unknown) => void
  readonly #holes = new Map<Room, Hole>()

  constructor ({ hub, broker, reads, release, onError }: ContinuityOptions) {
    this.#hub = hub
    this.#broker = broker
    this.#reads = reads
    this.#release = release
    this.#onError = onError
  }

  /** Takes what the broker delivers. */
  receive (envelope: Envelope): void {
    const room = this.#hub.room(envelope.room)
    if (room === undefined) return
    if (envelope.kind === 'notice' || (envelope.kind === 'message' && envelope.position === undefined)) {
      room.deliver(envelope)
      return
    }
    const position = envelope.position as Position
    const { delivered } = room
    if (envelope.kind === 'position') {
      // A room that is being filled reads where it stands anyway; one without members yet is about to adopt a position.
      if (this.#holes.has(room) || room.opening !== undefined || delivered === undefined) return
      if (delivered.epoch !== position.epoch || delivered.offset !== position.offset) this.#open(room)
      return
    }
    const hole = this.#holes.get(room)
    if (hole !== undefined) this.#hold(hole, envelope)
    else if (room.opening !== undefined || delivered === undefined || isNext(delivered, position)) room.deliver(envelope)
    else if (delivered.epoch === position.epoch && position.offset <= delivered.offset) this.counts.duplicates++
    else this.#hold(this.#open(room), envelope)
  }

  /** Resolves when a room has nothing missing that is known of. */
  async whole (room: Room): Promise<void> {
    await this.#holes.get(room)?.filled
  }

  /** Delivers what history has and the room has not got yet; says whether it could: not while a hole is open. */
  deliverPage (room: Room, epoch: string, messages: StoredMessage[]): boolean {
    if (this.#holes.has(room)) return false
    this.#deliver(room, epoch, messages)
    return true
  }

  #open (room: Room): Hole {
    const hole: Hole = { filled: Promise.resolve(), held: [], heldBytes: 0, overflowed: false }
    this.#holes.set(room, hole)
    this.counts.holes++
    // Its members may go, and others come, while it is filled.
    room.joining++
    hole.filled = this.#fill(room, hole).catch(this.#onError).finally(() => {
      room.joining--
      this.#holes.delete(room)
      this.#release(room)
    })
    return hole
  }

  #hold (hole: Hole, envelope: MessageEnvelope): void {
    const bytes = envelope.fields.length + (envelope.bytes?.length ?? 0)
    if (hole.held.length >= MAX_HELD_MESSAGES || hole.heldBytes + bytes > MAX_HELD_BYTES) {
      hole.overflowed = true
      return
    }
    hole.held.push(envelope)
    hole.heldBytes += bytes
  }

  async #fill (room: Room, hole: Hole): Promise<void> {
    while (room.size > 0 || room.joining > 1) {
      hole.overflowed = false
      const before = hole.held.length
      const caughtUp = await this.#read(room).catch(async () => {
        await sleep(RETRY_MS, undefined, { ref: false })
        return false
      })
      if (caughtUp && this.#deliverHeld(room, hole, before) && !hole.overflowed) return
    }
  }

  /** Brings a room as far as history does, by a page; says whether that is all. */
  async #read (room: Room): Promise<boolean> {
    const delivered = room.delivered as Position
    const page = await this.#reads.read(room.name, { after: delivered.offset, epoch: delivered.epoch, limit: PAGE_MESSAGES, maxBytes: PAGE_BYTES })
    const top = page.position
    if (top === undefined) return true
    if (top.epoch !== delivered.epoch) {
      await this.#beginAgain(room, top)
      return true
    }
    if (top.offset < delivered.offset) {
      const fresh = await this.#broker.position(room.name, delivered)
      if (fresh !== undefined && fresh.epoch !== delivered.epoch) await this.#beginAgain(room, fresh)
      return true
    }
    if (!page.recovered) {
      this.#reset(room, top, 'history')
      return true
    }
    this.#deliver(room, top.epoch, page.messages)
    if (page.messages.length > 0) this.counts.filled++
    return page.next === undefined
  }

  /** Goes on in another epoch: from its beginning, if all of it fits on a page. */
  async #beginAgain (room: Room, { epoch }: Position): Promise<void> {
    const page = await this.#reads.read(room.name, { after: 0, epoch, limit: PAGE_MESSAGES, maxBytes: PAGE_BYTES })
    const top = page.position as Position
    const whole = top.epoch === epoch && page.recovered && page.next === undefined
    this.#reset(room, whole ? { epoch, offset: 0 } : top, 'epoch')
    if (whole) this.#deliver(room, epoch, page.messages)
  }

  #deliver (room: Room, epoch: string, messages: StoredMessage[]): void {
    for (const { offset, ...message } of messages) {
      room.deliver({ kind: 'message', room: room.name, position: { epoch, offset }, ...message })
    }
  }

  /**
   * Delivers what was held, as far as it goes on from what is delivered; says whether nothing is missing.
   *
   * @param known how many of them came before history was read: what they have of other epochs is over
   */
  #deliverHeld (room: Room, hole: Hole, known: number): boolean {
    const { held } = hole
    hole.held = []
    hole.heldBytes = 0
    for (const [i, envelope] of held.entries()) {
      const position = envelope.position as Position
      const delivered = room.delivered as Position
      if (isNext(delivered, position)) room.deliver(envelope)
      else if (position.epoch === delivered.epoch ? position.offset > delivered.offset : i >= known) {
        for (const rest of held.slice(i)) this.#hold(hole, rest)
        return false
      }
    }
    return true
  }

  #reset (room: Room, position: Position, reason: 'epoch' | 'history'): void {
    this.counts.resets++
    room.reset(position, reason)
  }
}

function isNext (delivered: Position, position: Position): boolean {
  return delivered.epoch === position.epoch && position.offset === delivered.offset + 1
}
