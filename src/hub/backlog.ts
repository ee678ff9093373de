/** The bytes that wait for their turn, in all rooms of the instance. */
export class Backlog {
  #bytes = 0

  /** Waiting bytes. */
  get bytes (): number {
    return this.#bytes
  }

  /** Counts bytes that begin to wait. */
  add (bytes: number): void {
    this.#bytes += bytes
  }

  /** Counts bytes that were written. */
  subtract (bytes: number): void {
    this.#bytes -= bytes
  }
}
