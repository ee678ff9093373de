import type { StoredMessage } from './broker.ts'

/** The free front of the array is removed when it has this many elements and is half of the array. */
const COMPACT_AT = 64

/** The messages of a room in memory. Offsets ascend without gaps, so the offset of a message gives its index. */
export class History {
  #messages: (StoredMessage | undefined)[] = []
  #head = 0
  /** Size of all messages, bytes. */
  bytes = 0

  get length (): number {
    return this.#messages.length - this.#head
  }

  get first (): StoredMessage | undefined {
    return this.#messages[this.#head]
  }

  push (message: StoredMessage): void {
    this.#messages.push(message)
    this.bytes += sizeOf(message)
  }

  /** Removes the oldest message; returns its size, bytes. */
  shift (): number {
    const message = this.#messages[this.#head]
    if (message === undefined) return 0
    this.#messages[this.#head++] = undefined
    if (this.length === 0) {
      this.#messages = [] // Many idle rooms are empty.
      this.#head = 0
    } else if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#messages.length) {
      this.#messages = this.#messages.slice(this.#head)
      this.#head = 0
    }
    const size = sizeOf(message)
    this.bytes -= size
    return size
  }

  clear (): void {
    this.#messages = []
    this.#head = 0
    this.bytes = 0
  }

  /** Finds the message with an offset. */
  at (offset: number): StoredMessage | undefined {
    const first = this.first
    return first === undefined ? undefined : this.#messages[this.#head + offset - first.offset]
  }
}

/** The size of a message: its content, and an estimate for the objects around it. */
export function sizeOf (message: StoredMessage): number {
  return message.fields.length + (message.bytes?.length ?? 0) + 200
}
