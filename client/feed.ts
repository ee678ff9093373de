import type { ServerFrames } from '../src/protocol/frames.ts'
import type { Clock } from './clock.ts'
import { RoomcastError } from './errors.ts'
import { type Message, type MessageFrame, toMessage } from './message.ts'
import { invalid } from './payload.ts'
import { isPosition, type Position, toPosition } from './position.ts'
import { Progress } from './progress.ts'
import type { Joined, Load } from './room-events.ts'
import type { RoomListeners } from './room-listeners.ts'

/** The maximum of messages that wait for the application's state. */
const MAX_HELD = 10_000
/** The wait before another attempt to load the code that loads the application's state, ms. */
const RETRY_MS = 1_000

/** The parts of a room that its feed uses. */
export interface FeedOptions<Data> {
  room: string
  clock: Clock
  listeners: RoomListeners<Data>
  onMessage: (message: Message<Data>) => void
  onJoined: (joined: Joined) => void
  /** Reads the missed messages between two positions, behind those that were read before; undefined where it cannot. */
  readMissed: (since: Position, top: Position, known: readonly MessageFrame[]) => Promise<MessageFrame[] | undefined>
  /** The room must be joined again, from `since`. */
  rejoin: () => void
  /** The application's state is loaded. */
  onLoaded: () => void
  report: (error: RoomcastError) => void
}

/** Messages that the client has read from the history, because the service did not send them by itself. */
interface CaughtUp { messages: MessageFrame[], to: Position }

/** The messages of a room in their order: each exactly once, after those that were missed, and after the application's state. */
export class Feed<Data> {
  readonly #options: FeedOptions<Data>
  readonly #progress = new Progress()
  /** The next join is a resume. */
  #isResume = false
  #caughtUp: CaughtUp | undefined
  /** Counts the links and the joins: a read of an earlier one has no effect. */
  #turn = 0
  #load: Load | undefined
  /** Ends the load of the application's state. */
  #loading: AbortController | undefined
  /** The messages that wait for it. */
  #held: [frame: MessageFrame, bytes: Uint8Array | undefined][] = []

  constructor (options: FeedOptions<Data>) {
    this.#options = options
  }

  /** The position up to which each message was delivered or excludes this client. */
  get position (): Position | undefined {
    return this.#progress.position
  }

  /** The position for the next join. */
  get since (): Position | undefined {
    return this.#caughtUp?.to ?? this.position
  }

  /** Whether the application's state is being loaded. */
  get isLoading (): boolean {
    return this.#loading !== undefined
  }

  /** Starts from a position that the application gives. Throws `already_joined` where the feed has one of its own. */
  start (since: Position): void {
    if (!isPosition(since)) throw invalid('"since" is { epoch, offset }')
    if (this.#isResume) {
      throw new RoomcastError('already_joined', `${this.#options.room} is joined already; leave it first, or read its history`)
    }
    this.#progress.restart(since)
    this.#isResume = true
  }

  /** Takes the function that loads the application's state, and calls it if the room is joined already. */
  use (load: Load, isJoined: boolean): void {
    this.#load = load
    if (isJoined) this.#loadState()
  }

  /** Passes an own message that is not echoed. */
  pass (position: Partial<Position>): void {
    this.#progress.pass(position)
  }

  /** Takes the answer to a join. Calls `onJoined`; or reads missed messages first, and then has the room joined again. */
  enter (frame: ServerFrames['joined']): void {
    const { room, audience, recovered = false, missed = 0 } = frame
    const { onJoined, listeners } = this.#options
    const { since } = this
    const top = toPosition(frame)
    const isResume = this.#isResume
    if (isResume && !recovered && since !== undefined && top?.epoch === since.epoch && top.offset > since.offset) {
      void this.#catchUp(since, top)
      return
    }
    const read = this.#caughtUp?.messages ?? []
    this.#caughtUp = undefined
    this.#isResume = true
    if (isResume && recovered) {
      this.#progress.resume(top, read.length + missed)
      onJoined({ room, ...top, audience, recovered, missed: read.length + missed })
      for (const message of read) this.take(message)
      return
    }
    this.#progress.restart(top)
    this.#held = []
    onJoined({ room, ...top, audience, ...(isResume && { recovered }) })
    if (isResume) listeners.emit('reset', { room, ...top, reason: 'history' })
    this.#loadState()
  }

  /** Takes a message: in a frame that arrived, or on a page of history. */
  take (frame: MessageFrame, bytes?: Uint8Array): void {
    if (this.#loading === undefined) this.#deliver(frame, bytes)
    else if (this.#held.length < MAX_HELD) this.#held.push([frame, bytes])
    else this.#options.rejoin() // The service has the messages, or reports a gap.
  }

  /** Takes the report of a gap. */
  reset ({ reason, ...frame }: ServerFrames['reset']): void {
    const position = toPosition(frame)
    this.#progress.restart(position)
    this.#held = []
    this.#options.listeners.emit('reset', { room: this.#options.room, ...position, reason })
    this.#loadState()
  }

  /** The next join follows: the service repeats the messages after the position. */
  pause (): void {
    this.#turn++
    this.#held = []
  }

  /** Forgets everything: the room was left. */
  clear (): void {
    this.pause()
    this.#loading?.abort()
    this.#loading = this.#load = this.#caughtUp = undefined
    this.#isResume = false
    this.#progress.restart(undefined)
  }

  #deliver (frame: MessageFrame, bytes: Uint8Array | undefined): void {
    if (this.#progress.take(frame.offset)) this.#options.onMessage(toMessage(frame, this.position?.epoch, bytes))
  }

  /** Reads missed messages that the service does not send by itself, and joins again after the last one. */
  async #catchUp (since: Position, top: Position): Promise<void> {
    const turn = ++this.#turn
    const { readMissed, rejoin } = this.#options
    const messages = await readMissed(since, top, this.#caughtUp?.messages ?? []).catch(() => undefined)
    if (turn !== this.#turn) return
    // Without a position, the join reports the gap.
    if (messages === undefined) this.#progress.restart(undefined)
    this.#caughtUp = messages && { messages: messages.filter(({ offset = 0 }) => !this.#progress.isOwn(offset)), to: top }
    rejoin()
  }

  /** Loads the application's state, and delivers the messages after it. */
  #loadState (): void {
    const load = this.#load
    if (load === undefined) return
    this.#loading?.abort()
    const { signal } = this.#loading = new AbortController()
    const { room, clock, report, onLoaded } = this.#options
    import('./load-state.ts')
      .then(async ({ loadState }) => await loadState({ room, load, position: this.position, signal, clock, report }))
      .then((position) => {
        if (signal.aborted) return
        this.#loading = undefined
        if (isPosition(position)) this.#progress.skip(position)
        for (const [frame, bytes] of this.#held.splice(0)) this.take(frame, bytes)
        onLoaded()
      }, () => { clock.after(RETRY_MS, () => { if (!signal.aborted) this.#loadState() }) })
  }
}
