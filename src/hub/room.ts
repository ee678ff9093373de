import { events, type RoomMembership } from '../events/index.ts'
import type { MessageEnvelope, NoticeEnvelope } from '../protocol/envelope.ts'
import { roomLabel } from '../protocol/names.ts'
import type { Position } from '../protocol/position.ts'
import { Batch, RoomFrame } from '../transport/batch.ts'
import { Arrivals } from './arrivals.ts'
import type { Backlog } from './backlog.ts'
import type { Connection } from './connection.ts'
import { type Exception, Exceptions, ofOrigin, ofUser } from './exceptions.ts'
import type { Gathered, Step } from './gathered.ts'
import { Members, type Membership } from './members.ts'
import { type Delivered, ReplayBuffer } from './replay-buffer.ts'

/** A batch is closed at this size, bytes: one write to a member. */
const BATCH_BYTES = 256 * 1024
/** Bytes of a delivery that cost a turn as much as another small delivery: the copy into the kernel dominates. */
const COST_BYTES = 8 * 1024

/** The parts of the hub that a room uses. */
export interface RoomHost {
  /** Names the instance in events. */
  readonly instance: string
  readonly backlog: Backlog
  /** Asks for a turn for a room whose queue has entries. */
  schedule (room: Room): void
  /** Called when a room has neither members nor holds any more. */
  onIdle (room: Room): void
}

/**
 * A room on this instance: its members, and the queue of frames for them.
 *
 * One queue keeps the order of all events for the members: batches of frames, and steps that change the membership or
 * answer one member about the room. A batch for a big room is written over several turns; meanwhile a removal leaves a free
 * slot, and the rest of the queue waits. So no member receives a message twice, or a newer one first.
 */
export class Room {
  readonly name: string
  /** The room's name in frames. */
  readonly label: string
  readonly #host: RoomHost
  readonly #members = new Members()
  readonly #replay = new ReplayBuffer()
  readonly #queue: Step[] = []
  /** Made for the first step that follows a position. */
  #arrivals: Arrivals | undefined
  #holds = 0
  #opening: Promise<void> | undefined
  /** The position of the latest message delivered to the room. */
  #taken: Position | undefined
  /** The position of the latest message written to the members. */
  #written: Position | undefined
  /** The batch being written, and the slot of the next member. */
  #batch: Batch | undefined
  #next = 0

  constructor (name: string, host: RoomHost) {
    this.name = name
    this.label = roomLabel(name)
    this.#host = host
  }

  /** Connections in the room, on this instance. */
  get size (): number {
    return this.#members.size
  }

  /** Number of callers that hold the room. */
  get holds (): number {
    return this.#holds
  }

  /** Resolves when the broker has confirmed the subscription; undefined from then on. */
  get opening (): Promise<void> | undefined {
    return this.#opening
  }

  /** The position up to which the members have been sent the messages; undefined in rooms without history. */
  get position (): Position | undefined {
    return this.#written
  }

  /** The position of the latest message delivered to the room; undefined before the first one, unless a position was adopted. */
  get delivered (): Position | undefined {
    return this.#taken
  }

  /** Whether the queue has entries. */
  get waiting (): boolean {
    return this.#queue.length > 0
  }

  /** The messages recorded since `record`; see `ReplayBuffer`. */
  get recorded (): readonly Delivered[] {
    return this.#replay.messages
  }

  /** Keeps the room although it has no members, until the returned function is called. */
  hold (): () => void {
    this.#holds++
    let isReleased = false
    return () => {
      if (isReleased) return
      isReleased = true
      this.#holds--
      this.#checkIdle()
    }
  }

  /**
   * Opens the room with its subscription.
   *
   * @param subscription resolves with the position read after the broker has confirmed the subscription
   */
  open (subscription: Promise<Position | undefined>): void {
    this.#opening = subscription.then((position) => {
      this.adopt(position)
      this.#opening = undefined
    })
  }

  /** Adopts the position that was read after the subscription was confirmed. */
  adopt (position: Position | undefined): void {
    if (position === undefined || (this.#taken?.epoch === position.epoch && this.#taken.offset >= position.offset)) return
    this.#taken = position
    this.#written = position
  }

  /** Delivers an envelope to the members; drops a duplicate. The caller has checked that there is no gap before it. */
  deliver (envelope: MessageEnvelope | NoticeEnvelope): void {
    if (envelope.kind === 'notice') {
      const { frame, exceptUser } = envelope
      this.#append(RoomFrame.ofNotice(this.label, frame), exceptUser === undefined ? undefined : ofUser(exceptUser))
      return
    }
    const { position } = envelope
    if (position !== undefined) {
      if (this.#taken?.epoch === position.epoch && position.offset <= this.#taken.offset) return
      this.#taken = position
    }
    const { fields, bytes, time, exclude } = envelope
    const frame = RoomFrame.ofMessage(this.label, { fields, bytes, time, offset: position?.offset }, position?.epoch)
    if (this.#replay.recording && position !== undefined) this.#replay.add({ offset: position.offset, frame, exclude })
    this.#append(frame, exclude === undefined ? undefined : ofOrigin(exclude))
    if (this.#arrivals !== undefined && position !== undefined) this.#arrivals.arrived(position) // Behind the message.
  }

  /** Records the messages delivered from here on, until the returned function is called. */
  record (): () => void {
    return this.#replay.record()
  }

  /** Sends `reset` to the members after an unrecoverable gap, and continues from another position. */
  reset (position: Position, reason: 'epoch' | 'history'): void {
    this.#taken = position
    if (events.roomReset.wanted) events.roomReset.publish({ instance: this.#host.instance, room: this.name, position, reason })
    this.#replay.clear() // The recorded messages do not lead to this position.
    this.#append(RoomFrame.ofReset({ type: 'reset', room: this.label, ...position, reason }, position), undefined)
    this.#arrivals?.reset(position)
  }

  /** Runs a step behind everything that was delivered before: at once if the queue is empty. */
  run (step: () => void): void {
    if (this.#queue.length === 0) step()
    else this.#queue.push(step)
  }

  /**
   * Runs a step once everything that was delivered before is written, like `run`. Later deliveries may
   * overtake the step, so that it does not split a batch.
   */
  after (step: () => void): void {
    const last = this.#queue.at(-1)
    if (last === undefined || typeof last === 'function') this.run(step)
    else (last.after ??= []).push(step)
  }

  /**
   * Runs a step like `after`, once a position has been delivered, or `ARRIVAL_MS` later. Such steps keep their order.
   * Resolves when the step has its place.
   */
  async afterArrival (position: Position, step: () => void): Promise<void> {
    await (this.#arrivals ??= new Arrivals()).wait(position, this.#taken, () => { this.after(step) })
  }

  /** Adds a member; only within `run`. */
  add (connection: Connection, actions: number): Membership {
    const membership = this.#members.add(this, connection, actions)
    connection.memberships.set(this.name, membership)
    if (events.roomJoined.wanted) events.roomJoined.publish(this.#describe(connection))
    if (this.size === 1 && events.roomOccupied.wanted) events.roomOccupied.publish({ instance: this.#host.instance, room: this.name })
    return membership
  }

  /** Removes a member, at any time: from here on it receives no frame of the room. */
  remove (membership: Membership): void {
    if (!this.#members.remove(membership, this.#batch !== undefined)) return
    membership.connection.memberships.delete(this.name)
    if (events.roomLeft.wanted) events.roomLeft.publish(this.#describe(membership.connection))
    if (this.size === 0 && events.roomVacated.wanted) events.roomVacated.publish({ instance: this.#host.instance, room: this.name })
    this.#checkIdle()
  }

  /**
   * Works through the queue until it is empty or the budget is spent (1 for a small delivery).
   * Returns the cost; `waiting` is true if entries are left.
   */
  advance (budget: number): number {
    let cost = 0
    for (let step = this.#queue[0]; step !== undefined && cost < budget; step = this.#queue[0]) {
      if (typeof step === 'function') {
        this.#queue.shift()
        step()
        cost++
        continue
      }
      cost += this.#write(step, budget - cost)
      if (this.#batch !== undefined) continue
      this.#queue.shift() // Before its steps: their deliveries are not part of the batch any more.
      if (step.after !== undefined) for (const after of step.after) after()
    }
    return cost
  }

  #describe ({ id, user }: Connection): RoomMembership {
    return { instance: this.#host.instance, room: this.name, connection: id, user, members: this.size }
  }

  #checkIdle (): void {
    if (this.#members.size > 0) return
    this.#arrivals?.abandon()
    if (this.#holds === 0) this.#host.onIdle(this)
  }

  #append (frame: RoomFrame, exception: Exception | undefined): void {
    if (this.#members.slots.length === 0 && this.#queue.length === 0) {
      this.#written = this.#taken
      return
    }
    let gathered = this.#queue.at(-1)
    // A batch that is partly written takes no more frames.
    const isBeingWritten = this.#batch !== undefined && this.#queue.length === 1
    if (gathered === undefined || typeof gathered === 'function' || gathered.bytes >= BATCH_BYTES || isBeingWritten) {
      gathered = { frames: [], bytes: 0, messages: 0, position: undefined }
      this.#queue.push(gathered)
    }
    if (exception !== undefined) (gathered.exceptions ??= new Exceptions()).add(exception, gathered.frames.length)
    gathered.frames.push(frame)
    gathered.bytes += frame.bytes
    if (frame.type === 'message') gathered.messages++
    gathered.position = this.#taken
    this.#host.backlog.add(frame.bytes)
    this.#host.schedule(this)
  }

  /** Writes a batch to the next members, within the budget; `#batch` is undefined once the batch is complete. */
  #write (gathered: Gathered, budget: number): number {
    if (this.#batch === undefined) {
      this.#batch = new Batch(gathered.frames)
      this.#next = 0
    }
    const batch = this.#batch
    const { slots } = this.#members
    const price = 1 + Math.floor(batch.bytes / COST_BYTES)
    const from = this.#next
    const to = Math.min(slots.length, from + Math.ceil(budget / price))
    const { exceptions } = gathered
    if (exceptions === undefined) {
      for (let i = from; i < to; i++) slots[i]?.connection.write(batch)
    } else {
      for (let i = from; i < to; i++) {
        const connection = slots[i]?.connection
        if (connection !== undefined) exceptions.write(batch, connection)
      }
    }
    this.#next = to
    if (to >= slots.length) this.#finish(gathered)
    return (to - from) * price
  }

  #finish (gathered: Gathered): void {
    this.#batch = undefined
    this.#written = gathered.position
    this.#host.backlog.subtract(gathered.bytes)
    this.#members.closeFreeSlots() // Before the event: a listener may close a connection.
    if (gathered.messages > 0 && events.messageDelivered.wanted) {
      const { messages, bytes, position } = gathered
      const { instance } = this.#host
      events.messageDelivered.publish({ instance, room: this.name, messages, bytes, members: this.size, position })
    }
  }
}
