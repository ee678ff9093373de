import type { Connection } from './connection.ts'
import type { Room } from './room.ts'

/** A connection in a room. */
export interface Membership {
  readonly room: Room
  readonly connection: Connection
  /** The allowed actions in the room, as bits; the hub only keeps them. */
  readonly actions: number
  /** Its slot among the members. */
  index: number
}

/**
 * The members of a room, in slots. A batch is written to one slot after the other. Meanwhile removals leave free slots, so
 * that each member receives the batch once; afterwards the free slots are closed.
 */
export class Members {
  /** Undefined slots are free. */
  readonly slots: (Membership | undefined)[] = []
  #size = 0

  /** The number of members. */
  get size (): number {
    return this.#size
  }

  /** Adds a member behind the others. */
  add (room: Room, connection: Connection, actions: number): Membership {
    const membership = { room, connection, actions, index: this.slots.length }
    this.slots.push(membership)
    this.#size++
    return membership
  }

  /**
   * Removes a member; returns whether it was one.
   *
   * @param keepsSlots whether the others must keep their slots: then `closeFreeSlots` must follow
   */
  remove (membership: Membership, keepsSlots: boolean): boolean {
    const { slots } = this
    const { index } = membership
    if (slots[index] !== membership) return false
    this.#size--
    if (keepsSlots) {
      slots[index] = undefined
      return true
    }
    const last = slots.pop()
    if (last !== undefined && last !== membership) {
      slots[index] = last
      last.index = index
    }
    return true
  }

  /** Moves members into the free slots before them; their order stays. */
  closeFreeSlots (): void {
    const { slots } = this
    if (this.#size === slots.length) return
    let at = 0
    for (const membership of slots) {
      if (membership === undefined) continue
      membership.index = at
      slots[at++] = membership
    }
    slots.length = at
  }
}
