/** Listeners by event. An error of a listener is reported as uncaught, and the other listeners are still called. */
export class Emitter<Events extends object> {
  /** By event: a service names events, too, and an object has inherited names. */
  readonly #listeners = new Map<keyof Events, Set<(value: never) => void>>()

  /** Whether there are listeners. */
  get isUsed (): boolean {
    return this.#listeners.size > 0
  }

  /** Calls a listener for each future event; returns a function that stops this. */
  on<E extends keyof Events> (event: E, listener: (value: Events[E]) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set()
    // The same function may be added twice.
    const own = (value: Events[E]): void => { listener(value) }
    this.#listeners.set(event, listeners.add(own))
    return () => {
      listeners.delete(own)
      if (listeners.size === 0 && this.#listeners.get(event) === listeners) this.#listeners.delete(event)
    }
  }

  /** Calls the listeners of an event. */
  emit<E extends keyof Events> (event: E, value: Events[E]): void {
    for (const listener of [...this.#listeners.get(event) ?? []]) {
      try {
        listener(value as never)
      } catch (error) {
        setTimeout(() => { throw error })
      }
    }
  }
}
