import type { StoredMessage } from './broker.ts'

/** Room on the front of the array is given back when it is this long, and half of the array. */
const COMPACT_AT = 64

/** The messages that a room remembers in memory: offsets ascend without gaps, so a message is found by its offset. */
export class History {
  #messages: (StoredMessage | undefined)[] = []
  #head = 0
  /** Of the content of all messages, plus what keeping one costs. */
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

  /** Removes the oldest; returns the bytes it had. */
  shift (): number {
    const message = this.#messages[this.#head]
    if (message === undefined) return 0
    this.#messages[this.#head++] = undefined
    if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#messages.length) {
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

  /** The message with an offset, if it is kept. */
  at (offset: number): StoredMessage | undefined {
    const first = this.first
    return first === undefined ? undefined : this.#messages[this.#head + offset - first.offset]
  }
}

/** What a message takes: its content, and about what the objects around it cost. */
export function sizeOf (message: StoredMessage): number {
  return message.fields.length + (message.bytes?.length ?? 0) + 200
}
