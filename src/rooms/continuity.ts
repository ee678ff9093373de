import { setTimeout as sleep } from 'node:timers/promises'
import type { Broker, StoredMessage } from '../broker/broker.ts'
import { events, type GapClosed } from '../events/index.ts'
import type { Hub } from '../hub/hub.ts'
import type { Room } from '../hub/room.ts'
import type { Envelope, MessageEnvelope } from '../protocol/envelope.ts'
import type { Position } from '../protocol/position.ts'
import type { HistoryReads } from './history-reads.ts'

/** Bounds of the messages held while gaps are filled, in one room and in all; beyond them messages are dropped and read from history. */
const MAX_HELD_MESSAGES = 1_000
const MAX_HELD_BYTES = 4 * 1024 * 1024
const MAX_ALL_HELD_BYTES = 64 * 1024 * 1024
/** Bounds of one read of history. */
const READ_MESSAGES = 500
const READ_BYTES = 1024 * 1024
/** Time before a gap is filled again after the broker was unavailable, ms. */
const RETRY_MS = 500

/** The parts that continuity is made with. */
export interface ContinuityOptions {
  hub: Hub
  broker: Broker
  reads: HistoryReads
  onError: (error: unknown) => void
}

/** A message of a room with history. */
type PlacedEnvelope = MessageEnvelope & { position: Position }

/** A gap in the messages that a room received, while it is being filled. */
interface Gap {
  /** Resolves when the gap is filled, or declared by a `reset`. */
  filled: Promise<void>
  held: PlacedEnvelope[]
  heldBytes: number
  /** Whether a message was dropped for the bounds. */
  overflowed: boolean
  /** Messages that history delivered. */
  messages: number
  /** How it ends; undefined while it is open. */
  outcome: GapClosed['outcome'] | undefined
}

/**
 * Stands between the broker, which may lose and repeat messages, and the members of a room, which get one unbroken order. Each
 * message is compared with the last delivered position: the next one is delivered, a duplicate is dropped, and after a gap all
 * messages are held until history has filled it. If history cannot fill the gap, or the room has a new epoch, the members get
 * a `reset`.
 */
export class Continuity {
  /** Counts since the start of gaps found, pages that filled them, resets, and dropped duplicates. */
  readonly counts = { gaps: 0, filled: 0, resets: 0, duplicates: 0 }
  readonly #hub: Hub
  readonly #broker: Broker
  readonly #reads: HistoryReads
  readonly #onError: (error: unknown) => void
  readonly #gaps = new Map<Room, Gap>()
  #heldBytes = 0

  constructor ({ hub, broker, reads, onError }: ContinuityOptions) {
    this.#hub = hub
    this.#broker = broker
    this.#reads = reads
    this.#onError = onError
  }

  /** Messages that are held while gaps are filled, in all rooms, bytes. */
  get heldBytes (): number {
    return this.#heldBytes
  }

  /** Receives an envelope from the broker. */
  receive (envelope: Envelope): void {
    const room = this.#hub.room(envelope.room)
    if (room === undefined) return
    if (envelope.kind === 'position') this.check(room, envelope.position)
    else if (envelope.kind === 'message' && isPlaced(envelope)) this.#receiveMessage(room, envelope)
    else room.deliver(envelope)
  }

  /** Fills the gap, if there is one, between a room's messages and a position that the broker knows. */
  check (room: Room, position: Position): void {
    const { delivered } = room
    // A room that is being filled reads its position anyway; one without members yet is about to adopt a position.
    if (this.#gaps.has(room) || room.opening !== undefined || delivered === undefined) return
    if (delivered.epoch !== position.epoch || delivered.offset !== position.offset) this.#open(room)
  }

  /** Resolves when every known gap of a room is filled. */
  async whole (room: Room): Promise<void> {
    await this.#gaps.get(room)?.filled
  }

  /** Delivers messages of history that the room has not received yet; returns false, without effect, while a gap is open. */
  deliverPage (room: Room, epoch: string, messages: StoredMessage[]): boolean {
    if (this.#gaps.has(room)) return false
    this.#deliver(room, epoch, messages)
    return true
  }

  #receiveMessage (room: Room, envelope: PlacedEnvelope): void {
    const { delivered } = room
    const { position } = envelope
    const gap = this.#gaps.get(room)
    if (gap !== undefined) this.#hold(gap, envelope)
    else if (room.opening !== undefined || delivered === undefined || isNext(delivered, position)) room.deliver(envelope)
    else if (delivered.epoch === position.epoch && position.offset <= delivered.offset) this.counts.duplicates++
    else this.#hold(this.#open(room), envelope)
  }

  #open (room: Room): Gap {
    const gap: Gap = { filled: Promise.resolve(), held: [], heldBytes: 0, overflowed: false, messages: 0, outcome: undefined }
    this.#gaps.set(room, gap)
    this.counts.gaps++
    if (events.gapFound.wanted && room.delivered !== undefined) {
      events.gapFound.publish({ instance: this.#hub.instance, room: room.name, position: room.delivered })
    }
    // Membership may change while the gap is being filled.
    const release = room.hold()
    gap.filled = this.#fill(room, gap).catch(this.#onError).finally(() => {
      this.#gaps.delete(room)
      this.#takeHeld(gap)
      if (events.gapClosed.wanted) {
        const { outcome = 'abandoned', messages } = gap
        events.gapClosed.publish({ instance: this.#hub.instance, room: room.name, outcome, messages })
      }
      release()
    })
    return gap
  }

  #hold (gap: Gap, envelope: PlacedEnvelope): void {
    const bytes = envelope.fields.length + (envelope.bytes?.length ?? 0)
    const isFull = gap.held.length >= MAX_HELD_MESSAGES || gap.heldBytes + bytes > MAX_HELD_BYTES
    if (isFull || this.#heldBytes + bytes > MAX_ALL_HELD_BYTES) {
      gap.overflowed = true
      return
    }
    gap.held.push(envelope)
    gap.heldBytes += bytes
    this.#heldBytes += bytes
  }

  #takeHeld (gap: Gap): PlacedEnvelope[] {
    const { held } = gap
    this.#heldBytes -= gap.heldBytes
    gap.held = []
    gap.heldBytes = 0
    return held
  }

  async #fill (room: Room, gap: Gap): Promise<void> {
    while (room.size > 0 || room.holds > 1) { // One hold is this gap's own.
      gap.overflowed = false
      const before = gap.held.length
      const caughtUp = await this.#read(room, gap).catch(async () => {
        await sleep(RETRY_MS, undefined, { ref: false })
        return false
      })
      if (!caughtUp || !this.#deliverHeld(room, gap, before) || gap.overflowed) continue
      gap.outcome ??= 'filled'
      return
    }
  }

  /** Delivers a page of history to a room; says whether that was the last one. */
  async #read (room: Room, gap: Gap): Promise<boolean> {
    const { delivered } = room
    if (delivered === undefined) return true
    const { offset: after, epoch } = delivered
    const page = await this.#reads.read(room.name, { after, epoch, limit: READ_MESSAGES, maxBytes: READ_BYTES })
    const top = page.position
    if (top === undefined) return true
    if (top.epoch !== delivered.epoch) {
      await this.#beginAgain(room, gap, top)
      return true
    }
    if (top.offset < delivered.offset) {
      const fresh = await this.#broker.position(room.name, delivered)
      if (fresh !== undefined && fresh.epoch !== delivered.epoch) await this.#beginAgain(room, gap, fresh)
      return true
    }
    if (!page.recovered) {
      this.#reset(room, gap, top, 'history')
      return true
    }
    this.#deliver(room, top.epoch, page.messages)
    gap.messages += page.messages.length
    if (page.messages.length > 0) this.counts.filled++
    return page.next === undefined
  }

  /** Continues in another epoch: from its beginning, if one page holds all its messages. */
  async #beginAgain (room: Room, gap: Gap, { epoch }: Position): Promise<void> {
    const page = await this.#reads.read(room.name, { after: 0, epoch, limit: READ_MESSAGES, maxBytes: READ_BYTES })
    const top = page.position
    if (top === undefined) return
    const whole = top.epoch === epoch && page.recovered && page.next === undefined
    this.#reset(room, gap, whole ? { epoch, offset: 0 } : top, 'epoch')
    if (!whole) return
    this.#deliver(room, epoch, page.messages)
    gap.messages += page.messages.length
  }

  #deliver (room: Room, epoch: string, messages: StoredMessage[]): void {
    for (const { offset, ...message } of messages) {
      room.deliver({ kind: 'message', room: room.name, position: { epoch, offset }, ...message })
    }
  }

  /**
   * Delivers the held messages that continue the delivered ones; returns whether no gap is left.
   *
   * @param known the number of messages held before history was read: those of other epochs among them are obsolete
   */
  #deliverHeld (room: Room, gap: Gap, known: number): boolean {
    const held = this.#takeHeld(gap)
    for (const [i, envelope] of held.entries()) {
      const { position } = envelope
      const { delivered } = room
      if (isNext(delivered, position)) room.deliver(envelope)
      else if (position.epoch === delivered?.epoch ? position.offset > delivered.offset : i >= known) {
        for (const rest of held.slice(i)) this.#hold(gap, rest)
        return false
      }
    }
    return true
  }

  #reset (room: Room, gap: Gap, position: Position, reason: 'epoch' | 'history'): void {
    this.counts.resets++
    gap.outcome = 'reset'
    room.reset(position, reason)
  }
}

function isPlaced (envelope: MessageEnvelope): envelope is PlacedEnvelope {
  return envelope.position !== undefined
}

function isNext (delivered: Position | undefined, position: Position): boolean {
  return delivered?.epoch === position.epoch && position.offset === delivered.offset + 1
}
