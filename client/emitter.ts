/** Listeners by event. An error of a listener is reported as uncaught, and the other listeners are still called. */
export class Emitter<Events extends object> {
  readonly #listeners: { [E in keyof Events]?: Set<(value: Events[E]) => void> } = {}

  /** Calls a listener for each future event; returns a function that stops this. */
  on<E extends keyof Events> (event: E, listener: (value: Events[E]) => void): () => void {
    const listeners = this.#listeners[event] ??= new Set<(value: Events[E]) => void>()
    // The same function may be added twice.
    const own = (value: Events[E]): void => { listener(value) }
    listeners.add(own)
    return () => { listeners.delete(own) }
  }

  /** Calls the listeners of an event. */
  emit<E extends keyof Events> (event: E, value: Events[E]): void {
    for (const listener of [...this.#listeners[event] ?? []]) {
      try {
        listener(value)
      } catch (error) {
        setTimeout(() => { throw error })
      }
    }
  }
}
