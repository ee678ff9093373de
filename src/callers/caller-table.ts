import { LruMap } from '../broker/lru-map.ts'

/** The state of each caller. A caller whose state is as good as new is forgotten, so only recent callers take memory. */
export class CallerTable<State> {
  readonly #make: () => State
  readonly #isNew: (state: State) => boolean
  readonly #states = new LruMap<string, State>()

  /** @param isNew whether a state is the same as one that `make` returns now */
  constructor (make: () => State, isNew: (state: State) => boolean) {
    this.#make = make
    this.#isNew = isNew
  }

  /** Number of callers in memory. */
  get size (): number {
    return this.#states.size
  }

  /** Finds the state of a caller, or makes it; forgets callers that were not seen for longer. */
  of (user: string): State {
    for (let oldest; (oldest = this.#states.oldest) !== undefined && this.#isNew(oldest[1]);) this.#states.delete(oldest[0])
    const state = this.#states.get(user) ?? this.#make()
    this.#states.set(user, state)
    return state
  }
}
