/** Snapshots within this time are one, ms: messages come in bursts, and each snapshot is a render. */
const GATHER_MS = 10

/**
 * Something outside of React, for `useSyncExternalStore`: runs while somebody is subscribed, and gives snapshots that
 * are replaced and never changed. It is stopped a moment after the last one has gone, for StrictMode, and everything that
 * mounts again at once, comes straight back.
 */
export abstract class Store<Snapshot extends object> {
  readonly #listeners = new Set<() => void>()
  #snapshot: Snapshot
  #next: Snapshot | undefined
  #toldAt = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #stopping: ReturnType<typeof setTimeout> | undefined
  #isRunning = false

  constructor (initial: Snapshot) {
    this.#snapshot = initial
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    const own = (): void => { listener() }
    this.#listeners.add(own)
    clearTimeout(this.#stopping)
    if (!this.#isRunning) {
      this.#isRunning = true
      this.start()
    }
    return () => {
      this.#listeners.delete(own)
      if (this.#listeners.size === 0) this.#stopping = setTimeout(() => { this.#end() })
    }
  }

  readonly getSnapshot = (): Snapshot => this.#snapshot

  protected abstract start (): void
  protected abstract stop (): void

  /** What is to be the next snapshot, as far as it is known. */
  protected get next (): Snapshot {
    return this.#next ?? this.#snapshot
  }

  /** Changes some of it: at once, or together with what comes just behind. */
  protected update (changes: Partial<Snapshot>): void {
    this.#next = { ...this.next, ...changes }
    this.#timer ??= setTimeout(() => { this.#tell() }, Math.max(0, this.#toldAt + GATHER_MS - Date.now()))
  }

  #tell (): void {
    this.#timer = undefined
    this.#toldAt = Date.now()
    this.#snapshot = this.next
    this.#next = undefined
    for (const listener of [...this.#listeners]) listener()
  }

  #end (): void {
    if (!this.#isRunning || this.#listeners.size > 0) return
    this.#isRunning = false
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.stop()
  }
}
