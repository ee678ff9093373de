/** The longest wait for the retry of a publish, while a message that may be its echo is held, ms. */
const RETRY_MS = 10_000
/** The longest delay of a message without a position behind the answer to its publish, ms. */
const LATE_MS = 10_000
/** The number of remembered positions of own messages. No resume has more messages. */
const MAX_HIDDEN = 300

/** A publish with `echo: false` and without an answer. */
interface Pending {
  /** Undefined until its retry. */
  id: number | undefined
  key: string | undefined
  content: string
  isRetry: boolean
}

/** A frame that waits. */
interface Held {
  /** Of a message that may be the echo of a pending publish. */
  content: string | undefined
  /** `epoch:offset`; undefined in a room without history. */
  position: string | undefined
  send: () => void
}

/** A message of the room. */
export interface FilteredMessage {
  /** Identifies `event`, and the data or the bytes; undefined for a message of another user. */
  content: () => string | undefined
  /** `epoch:offset`; undefined in a room without history. */
  position: string | undefined
}

/**
 * Hides the own messages of one client in one room, which it publishes with `echo: false`. The service cannot do this: all tabs
 * are one connection for it.
 *
 * A message with the user and the content of a pending publish may be its echo, or the message of another tab. It waits for the
 * answer to the publish, with all frames behind it. The answer has the position of the echo. In a room without history it has
 * none: there the first of these messages is the echo. Its equals differ in their times only.
 */
export class EchoFilter {
  readonly #pending: Pending[] = []
  readonly #hidden = new Set<string>()
  /** The contents of own messages without positions that are yet to come. */
  readonly #late: string[] = []
  readonly #held: Held[] = []
  #timer: ReturnType<typeof setTimeout> | undefined

  /** A publish was sent, or sent again with its key. */
  expect (id: number, key: string | undefined, content: string): void {
    const known = this.#pending.find((pending) => key !== undefined && pending.key === key)
    if (known === undefined) this.#pending.push({ id, key, content, isRetry: false })
    else Object.assign(known, { id, isRetry: true })
  }

  /** The publish is in the room. */
  onAck (id: number, position: string | undefined): void {
    const index = this.#pending.findIndex((pending) => pending.id === id)
    const [pending] = index < 0 ? [] : this.#pending.splice(index, 1)
    if (pending === undefined) return
    if (position !== undefined) this.#hide(position)
    const echo = this.#held.findIndex((held) => {
      return position === undefined ? held.content === pending.content : held.position === position
    })
    if (echo >= 0) this.#held.splice(echo, 1)
    else if (position === undefined && !pending.isRetry) this.#expectLate(pending.content) // A retry may have no message.
    this.#release()
  }

  /** The publish was refused. It may be in the room all the same if it is `retryable`. */
  onError (id: number, retryable: boolean): void {
    const pending = this.#pending.find((pending) => pending.id === id)
    if (pending === undefined) return
    pending.id = undefined
    if (!retryable || pending.key === undefined) this.#pending.splice(this.#pending.indexOf(pending), 1)
    this.#release()
  }

  /** Sends a message, now or later, unless it is an echo. */
  takeMessage ({ content, position }: FilteredMessage, send: () => void): void {
    if (position !== undefined && this.#hidden.has(position)) return
    const own = this.#pending.length === 0 && this.#late.length === 0 ? undefined : content()
    if (position === undefined && own !== undefined && this.#takeLate(own)) return
    const candidate = this.#isPending(own) ? own : undefined
    if (candidate === undefined && this.#held.length === 0) send()
    else this.#hold({ content: candidate, position, send })
  }

  /** Sends another frame of the room, behind the frames that wait. */
  take (send: () => void): void {
    if (this.#held.length === 0) send()
    else this.#hold({ content: undefined, position: undefined, send })
  }

  /** The client has left the room: it repeats no publish. */
  onLeft (): void {
    this.#pending.length = 0
    this.#release()
  }

  /** The connection has ended. The client resumes before the frames that wait, and repeats its publishes. */
  onDown (): void {
    clearTimeout(this.#timer)
    this.#held.length = this.#late.length = 0
    for (const pending of this.#pending) pending.id = undefined
  }

  #hide (position: string): void {
    this.#hidden.add(position)
    for (const oldest of this.#hidden) {
      if (this.#hidden.size <= MAX_HIDDEN) return
      this.#hidden.delete(oldest)
    }
  }

  #expectLate (content: string): void {
    this.#late.push(content)
    setTimeout(() => { this.#takeLate(content) }, LATE_MS)
  }

  #takeLate (content: string): boolean {
    const index = this.#late.indexOf(content)
    if (index >= 0) this.#late.splice(index, 1)
    return index >= 0
  }

  #isPending (content: string | undefined): boolean {
    return content !== undefined && this.#pending.some((pending) => pending.content === content)
  }

  #hold (held: Held): void {
    this.#held.push(held)
    if (this.#held.length === 1) this.#expire()
  }

  #release (): void {
    const before = this.#held.length
    while (this.#held[0] !== undefined && !this.#isPending(this.#held[0].content)) this.#held.shift()?.send()
    if (this.#held.length !== before) this.#expire()
  }

  /** Forgets the publishes that are not repeated: the client has given them up. */
  #expire (): void {
    clearTimeout(this.#timer)
    if (this.#held.length === 0) return
    this.#timer = setTimeout(() => {
      const waiting = this.#pending.filter(({ id }) => id !== undefined)
      this.#pending.splice(0, Infinity, ...waiting)
      this.#release()
      if (this.#held.length > 0) this.#expire()
    }, RETRY_MS)
  }
}
