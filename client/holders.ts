/** Counts the users of a room: the application, its components, and the pending publishes. */
export class Holders {
  /** Whether the application has joined the room. */
  hasApplication = false
  #components = 0
  #publishes = 0

  /** Whether components are in the room. */
  get hasComponents (): boolean {
    return this.#components > 0
  }

  /** Whether the membership has to last. */
  get isAny (): boolean {
    return this.hasApplication || this.#components + this.#publishes > 0
  }

  /** Counts a component until the returned function is called. */
  addComponent (): () => void {
    this.#components++
    let isHeld = true
    return () => {
      if (isHeld) this.#components--
      isHeld = false
    }
  }

  /** Counts a publish until it is settled. */
  async during<T> (publish: () => Promise<T>): Promise<T> {
    this.#publishes++
    try {
      return await publish()
    } finally {
      this.#publishes--
    }
  }
}
