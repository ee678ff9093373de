import type { RoomFrame } from '../transport/batch.ts'

/** Bounds of the recorded messages of a room. */
const MAX_MESSAGES = 300
const MAX_BYTES = 512 * 1024

/** A message that was delivered to a room. */
export interface Delivered {
  offset: number
  frame: RoomFrame
  /** The origin whose connections did not receive it. */
  exclude: string | undefined
}

/** The latest messages of a room, recorded while connections resume. */
export class ReplayBuffer {
  /** Number of resumes that need the messages. */
  #users = 0
  #messages: Delivered[] = []
  #bytes = 0

  /** Whether messages are being recorded. */
  get recording (): boolean {
    return this.#users > 0
  }

  /** The recorded messages in order: all since `record`, or the latest ones within the bounds. */
  get messages (): readonly Delivered[] {
    return this.#messages
  }

  /** Records messages until the returned function is called. */
  record (): () => void {
    this.#users++
    let isStopped = false
    return () => {
      if (isStopped) return
      isStopped = true
      if (--this.#users === 0) this.clear()
    }
  }

  /** Adds a message; evicts the oldest beyond the bounds. */
  add (message: Delivered): void {
    this.#messages.push(message)
    this.#bytes += message.frame.bytes
    while (this.#messages.length > MAX_MESSAGES || this.#bytes > MAX_BYTES) this.#bytes -= this.#messages.shift()?.frame.bytes ?? 0
  }

  /** Drops the recorded messages. */
  clear (): void {
    this.#messages = []
    this.#bytes = 0
  }
}
