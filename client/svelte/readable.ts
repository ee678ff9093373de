import type { Store } from '../stores/store.ts'

/** A readable store, by the store contract of Svelte. */
export interface Readable<Value> {
  /** Calls `run` with the current value at once, and with each later one; returns a function that stops this. */
  readonly subscribe: (run: (value: Value) => void) => () => void
}

/** A store of values, each of which is made from a snapshot. */
export function readable<Snapshot extends object, Value> (store: Store<Snapshot>, read: (snapshot: Snapshot) => Value): Readable<Value> {
  return {
    subscribe: (run) => {
      const tell = (): void => { run(read(store.getSnapshot())) }
      const stop = store.subscribe(tell)
      tell()
      return stop
    }
  }
}
