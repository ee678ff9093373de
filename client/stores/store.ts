/** Changes within this time make one snapshot, ms: messages arrive in bursts, and a page renders each snapshot. */
const GATHER_MS = 10

/**
 * A source of snapshots. It runs while it has subscribers, and replaces its snapshot on each change.
 * It stops a moment after the last subscriber has left, because another one may follow at once, as in React's StrictMode.
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

  /** Adds a listener; returns a function that removes it. */
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

  /** The current snapshot. */
  readonly getSnapshot = (): Snapshot => this.#snapshot

  protected abstract start (): void
  protected abstract stop (): void

  /** The next snapshot, with the changes so far. */
  protected get next (): Snapshot {
    return this.#next ?? this.#snapshot
  }

  /** Changes some members, at once or together with the changes that follow soon. */
  protected update (changes: Partial<Snapshot>): void {
    this.#next = { ...this.next, ...changes }
    this.#timer ??= setTimeout(() => { this.#tell() }, Math.max(0, this.#toldAt + GATHER_MS - performance.now()))
  }

  #tell (): void {
    this.#timer = undefined
    this.#toldAt = performance.now() // The time of day may be set back.
    this.#snapshot = this.next
    this.#next = undefined
    for (const listener of [...this.#listeners]) listener()
  }

  #end (): void {
    if (!this.#isRunning || this.#listeners.size > 0) return
    this.#isRunning = false
    this.stop()
    clearTimeout(this.#timer)
    this.#tell() // The next subscriber must not get the last snapshot of this run.
  }
}
