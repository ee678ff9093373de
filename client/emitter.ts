/** Listeners by event. What a listener throws is reported and does not keep the others from being called. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(value: never) => void>>()

  /** Calls a listener for each event from here on; returns how to stop that. */
  on<E extends keyof Events> (event: E, listener: (value: Events[E]) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners)
    // The same function twice is two listeners.
    const own = (value: Events[E]): void => { listener(value) }
    listeners.add(own)
    return () => { listeners.delete(own) }
  }

  emit<E extends keyof Events> (event: E, value: Events[E]): void {
    for (const listener of [...this.#listeners.get(event) ?? []]) {
      try {
        (listener as (value: Events[E]) => void)(value)
      } catch (error) {
        setTimeout(() => { throw error })
      }
    }
  }
}
