import type { Position } from './position.ts'

/** The progress of a client in a room. */
export class Progress {
  /** The position up to which each message has arrived or excludes this client; undefined without a position to resume from. */
  position: Position | undefined
  /** The number of missed messages that are yet to arrive, and the position after the last one. */
  #missed = 0
  #top: Position | undefined
  /** The latest run of own messages, not echoed, beyond the position: its first and its last offset. */
  #first = 0
  #last = 0

  /** Goes on from another position. */
  restart (position: Position | undefined): void {
    this.position = position
    this.#missed = this.#first = this.#last = 0
  }

  /** Moves to a position when all missed messages have arrived. */
  resume (top: Position | undefined, missed: number): void {
    this.#top = top
    this.#missed = missed
    if (missed === 0) this.#moveTo(top?.offset)
  }

  /** Takes a message; returns false for a duplicate. */
  take (offset: number | undefined): boolean {
    const isNew = this.#moveTo(offset)
    if (--this.#missed === 0) this.#moveTo(this.#top?.offset)
    return isNew
  }

  /** Moves to a later position of the same epoch. */
  skip ({ epoch, offset }: Position): void {
    if (epoch === this.position?.epoch) this.#moveTo(offset)
  }

  /** Whether a message is one of the own messages, not echoed, beyond the position. */
  isOwn (offset: number): boolean {
    return offset >= this.#first && offset <= this.#last
  }

  /** Passes an own message that is not echoed as soon as the position is right before it: its `ack` may be early. */
  pass ({ epoch, offset }: Partial<Position>): void {
    const { position } = this
    if (offset === undefined || position === undefined || epoch !== position.epoch || offset <= position.offset) return
    if (offset !== this.#last + 1) this.#first = offset
    this.#last = offset
    if (this.#first <= position.offset + 1) this.#moveTo(offset)
  }

  #moveTo (offset: number | undefined): boolean {
    const { position } = this
    if (position === undefined || offset === undefined) return true
    if (offset <= position.offset) return false
    this.position = { ...position, offset: this.#first <= offset + 1 ? Math.max(offset, this.#last) : offset }
    return true
  }
}
