import { roomLabel } from '../protocol/names.ts'
import type { MessageEnvelope, NoticeEnvelope, Position } from '../protocol/envelope.ts'
import type { EncodedContent, Placed } from '../protocol/message.ts'
import { Batch, RoomFrame } from '../transport/batch.ts'
import type { Connection } from './connection.ts'

/** A batch is closed at this size, bytes: what is written to a member at once. */
const BATCH_BYTES = 256 * 1024
/** A delivery of this many bytes costs a turn as much again as a small one: copying it into the kernel is what takes the time. */
const COST_BYTES = 8 * 1024

/** The latest messages are recalled up to these bounds, while somebody needs them. */
const RECALLED_MESSAGES = 300
const RECALLED_BYTES = 512 * 1024

/** A message that was delivered to a room. */
export interface Delivered {
  offset: number
  frame: RoomFrame
  /** The origin whose connections did not get it. */
  exclude: string | undefined
}

/** A connection in a room. */
export interface Membership {
  readonly room: Room
  readonly connection: Connection
  /** What the member may do here, as bits; the hub only keeps it. */
  readonly actions: number
  /** Where it stands among the members. */
  index: number
}

/** Frames that were delivered in one turn of the event loop and leave together. */
interface Gathered {
  frames: RoomFrame[]
  bytes: number
  /** Origins and users some of its frames are not for; and for which frames that holds. */
  exceptions?: Map<string, Set<number>>
  /** The room's position when the batch is out. */
  position: Position | undefined
  /** To be run when it is out. */
  after?: (() => void)[]
}

type Step = Gathered | (() => void)

/** Bytes that wait for their turn, in all rooms of the node. */
export interface Backlog {
  bytes: number
}

/**
 * The members that a room has on this node, and what is on its way to them.
 *
 * One queue holds what happens to them, in order: batches of frames, and steps that change the membership or
 * answer one member about the room. A batch for a big room is written over several turns; while it is, removals
 * leave a hole and everything else waits behind it. So nobody sees a message twice, or a newer one first.
 */
export class Room {
  readonly name: string
  /** The room's name in frames. */
  readonly label: string
  /** Joins under way: the room is not dropped while there are any. */
  joining = 0
  /** Resolves when the broker has confirmed the subscription; undefined from then on. */
  opening: Promise<void> | undefined
  readonly #schedule: (room: Room) => void
  readonly #backlog: Backlog
  readonly #members: (Membership | undefined)[] = []
  readonly #queue: Step[] = []
  #size = 0
  /** How many want the latest messages to be recalled, and those messages. */
  #recalling = 0
  #recalled: Delivered[] = []
  #recalledBytes = 0
  /** Of the latest message delivered to the room. */
  #taken: Position | undefined
  /** Of the latest message written to the members. */
  #written: Position | undefined
  /** The batch being written, and the member it goes to next. */
  #batch: Batch | undefined
  #next = 0

  constructor (name: string, schedule: (room: Room) => void, backlog: Backlog) {
    this.name = name
    this.label = roomLabel(name)
    this.#schedule = schedule
    this.#backlog = backlog
  }

  /** Connections in the room, on this node. */
  get size (): number {
    return this.#size
  }

  /** What the members have been sent so far; undefined in rooms without history. */
  get position (): Position | undefined {
    return this.#written
  }

  /** Of the latest message that was delivered to the room; undefined until there was one, or a position was adopted. */
  get delivered (): Position | undefined {
    return this.#taken
  }

  /** Takes over the position that was read after the subscription was confirmed. */
  adopt (position: Position | undefined): void {
    if (position === undefined || (this.#taken?.epoch === position.epoch && this.#taken.offset >= position.offset)) return
    this.#taken = position
    this.#written = position
  }

  /** Takes an envelope for delivery; drops what the room has had. That nothing is missing before it is the caller's business. */
  deliver (envelope: MessageEnvelope | NoticeEnvelope): void {
    if (envelope.kind === 'notice') {
      this.#append(RoomFrame.ofNotice(this.label, envelope.frame), envelope.exceptUser === undefined ? undefined : userKey(envelope.exceptUser))
      return
    }
    const { position } = envelope
    if (position !== undefined) {
      if (this.#taken?.epoch === position.epoch && position.offset <= this.#taken.offset) return
      this.#taken = position
    }
    const { fields, bytes, time, exclude } = envelope
    const frame = this.frame({ fields, bytes, time, offset: position?.offset }, position?.epoch)
    if (this.#recalling > 0 && position !== undefined) this.#recall({ offset: position.offset, frame, exclude })
    this.#append(frame, exclude === undefined ? undefined : originKey(exclude))
  }

  /** The frame of a message, as members of this room get it. */
  frame (message: EncodedContent & Placed, epoch: string | undefined): RoomFrame {
    return RoomFrame.ofMessage(this.label, message, epoch)
  }

  /** Frames that somebody gets together. */
  batch (frames: RoomFrame[]): Batch {
    return new Batch(frames)
  }

  /** Has the room recall the latest messages that are delivered from here on, until the function it returns is called. */
  recall (): () => void {
    this.#recalling++
    return () => {
      if (--this.#recalling === 0) this.#forget()
    }
  }

  /** The latest messages, ascending: all that were delivered since `recall`, or as many of them as there is room for. */
  get recalled (): readonly Delivered[] {
    return this.#recalled
  }

  /** Continuity was lost: tells the members, who go on from another position. */
  reset (position: Position, reason: 'epoch' | 'history'): void {
    this.#taken = position
    this.#forget() // They do not lead to where the room is now.
    this.#append(RoomFrame.ofReset({ type: 'reset', room: this.label, ...position, reason }, position), undefined)
  }

  /** Runs a step behind everything that was delivered before: at once when nothing is waiting. */
  run (step: () => void): void {
    if (this.#queue.length === 0) step()
    else this.#queue.push(step)
  }

  /**
   * Runs a step when everything that was delivered before is out, like `run`; but what is delivered after it may
   * overtake it, so that it does not split a batch.
   */
  after (step: () => void): void {
    const last = this.#queue.at(-1)
    if (last === undefined || typeof last === 'function') this.run(step)
    else (last.after ??= []).push(step)
  }

  /** Adds a member; only within `run`. */
  add (connection: Connection, actions: number): Membership {
    const membership = { room: this, connection, actions, index: this.#members.length }
    this.#members.push(membership)
    this.#size++
    connection.memberships.set(this.name, membership)
    return membership
  }

  /** Removes a member, at any time: from here on it gets nothing more of the room. */
  remove (membership: Membership): void {
    if (this.#members[membership.index] !== membership) return
    membership.connection.memberships.delete(this.name)
    this.#size--
    if (this.#batch !== undefined) {
      this.#members[membership.index] = undefined
      return
    }
    const last = this.#members.pop() as Membership
    if (last !== membership) {
      this.#members[membership.index] = last
      last.index = membership.index
    }
  }

  /**
   * Works through the queue until it is empty or has cost more than `budget` (one for a small delivery).
   * Returns what it cost; something is left when `waiting` says so.
   */
  advance (budget: number): number {
    let cost = 0
    while (this.#queue.length > 0 && cost < budget) {
      const step = this.#queue[0] as Step
      if (typeof step === 'function') {
        this.#queue.shift()
        step()
        cost++
        continue
      }
      cost += this.#write(step, budget - cost)
      if (this.#batch !== undefined) continue
      this.#queue.shift() // Before its steps: what they deliver is not part of it any more.
      if (step.after !== undefined) for (const after of step.after) after()
    }
    return cost
  }

  get waiting (): boolean {
    return this.#queue.length > 0
  }

  #recall (delivered: Delivered): void {
    this.#recalled.push(delivered)
    this.#recalledBytes += delivered.frame.bytes
    while (this.#recalled.length > RECALLED_MESSAGES || this.#recalledBytes > RECALLED_BYTES) {
      this.#recalledBytes -= (this.#recalled.shift() as Delivered).frame.bytes
    }
  }

  #forget (): void {
    this.#recalled = []
    this.#recalledBytes = 0
  }

  #append (frame: RoomFrame, exception: string | undefined): void {
    if (this.#members.length === 0 && this.#queue.length === 0) {
      this.#written = this.#taken
      return
    }
    let gathered = this.#queue.at(-1)
    // The head may be half written; what comes now is not part of it.
    if (gathered === undefined || typeof gathered === 'function' || gathered.bytes >= BATCH_BYTES || (this.#batch !== undefined && this.#queue.length === 1)) {
      gathered = { frames: [], bytes: 0, position: undefined }
      this.#queue.push(gathered)
    }
    if (exception !== undefined) {
      gathered.exceptions ??= new Map()
      const indexes = gathered.exceptions.get(exception)
      if (indexes === undefined) gathered.exceptions.set(exception, new Set([gathered.frames.length]))
      else indexes.add(gathered.frames.length)
    }
    gathered.frames.push(frame)
    gathered.bytes += frame.bytes
    gathered.position = this.#taken
    this.#backlog.bytes += frame.bytes
    this.#schedule(this)
  }

  /** Writes what was gathered to the members from where it stopped, as far as the budget goes; `#batch` is gone when it is done. */
  #write (gathered: Gathered, budget: number): number {
    if (this.#batch === undefined) {
      this.#batch = new Batch(gathered.frames)
      this.#next = 0
    }
    const batch = this.#batch
    const members = this.#members
    const price = 1 + Math.floor(batch.bytes / COST_BYTES)
    const from = this.#next
    const to = Math.min(members.length, from + Math.ceil(budget / price))
    if (gathered.exceptions === undefined) {
      for (let i = from; i < to; i++) members[i]?.connection.write(batch)
    } else {
      for (let i = from; i < to; i++) {
        const connection = members[i]?.connection
        if (connection !== undefined) writeExcept(connection, batch, gathered.exceptions)
      }
    }
    this.#next = to
    if (to >= members.length) this.#finish(gathered)
    return (to - from) * price
  }

  #finish (gathered: Gathered): void {
    this.#batch = undefined
    this.#written = gathered.position
    this.#backlog.bytes -= gathered.bytes
    if (this.#size !== this.#members.length) this.#closeGaps()
  }

  #closeGaps (): void {
    let at = 0
    for (const membership of this.#members) {
      if (membership === undefined) continue
      membership.index = at
      this.#members[at++] = membership
    }
    this.#members.length = at
  }
}

/** Writes a batch to a connection without the frames that are not for it. */
function writeExcept (connection: Connection, batch: Batch, exceptions: Map<string, Set<number>>): void {
  const byOrigin = exceptions.get(originKey(connection.origin))
  const byUser = exceptions.get(userKey(connection.user))
  if (byOrigin === undefined && byUser === undefined) {
    connection.write(batch)
    return
  }
  const rest = batch.frames.filter((_, index) => !byOrigin?.has(index) && !byUser?.has(index))
  if (rest.length > 0) connection.write(new Batch(rest))
}

// One map holds both kinds of exception; an origin cannot contain the separator.
function originKey (origin: string): string {
  return `o:${origin}`
}

function userKey (user: string): string {
  return `u:${user}`
}
